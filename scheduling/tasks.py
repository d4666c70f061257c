"""The Celery tasks of the standing jobs, with autoretry and exponential backoff (SPEC A14, A15)."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from celery import Task, shared_task

from scheduling.errors import FenceRequired, TargetError
from scheduling.fence import BATCH_TASK
from scheduling.targets import (
    TARGET_BACKUP_MAINTENANCE,
    TARGET_BROKER_HEARTBEAT,
    TARGET_DASHBOARD_UPDATE,
    TARGET_PIPELINE,
    call_target,
)

P = ParamSpec("P")
R = TypeVar("R")


def retried(function: Callable[P, R]) -> Task[P, R]:
    """Declare a Celery task that is tried again after any error but a wrong path of its target."""
    declare: Callable[[Callable[P, R]], Task[P, R]] = shared_task(
        autoretry_for=(Exception,),
        dont_autoretry_for=(TargetError,),  # a wrong path does not get right by waiting
        max_retries=3,
        retry_backoff=5,
        retry_backoff_max=300,
        retry_jitter=True,
    )
    return declare(function)


@retried
def pipeline() -> Any:
    """Run the ETEDA loop once."""
    return call_target(TARGET_PIPELINE)


@retried
def broker_heartbeat() -> Any:
    """Send a message through the broker and read it back."""
    return call_target(TARGET_BROKER_HEARTBEAT)


@retried
def dashboard_update() -> Any:
    """Compute the snapshot that the status page shows."""
    return call_target(TARGET_DASHBOARD_UPDATE)


@retried
def backup_maintenance() -> Any:
    """Back up the dataset, then delete what expired and is backed up."""
    return call_target(TARGET_BACKUP_MAINTENANCE)


@retried
def run_target(name: str) -> Any:
    """Run any other target of OPS_TARGETS."""
    return call_target(name)


@shared_task(name=BATCH_TASK)
def batch(**_: Any) -> None:
    """Stand for several runs; workers with the fence never run this, but what it stands for."""
    raise FenceRequired
