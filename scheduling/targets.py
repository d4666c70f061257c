"""Targets: callables that jobs run, injected by dotted path through OPS_TARGETS (SPEC A14).

The scheduler imports none of them; a worker does, when it runs one.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Protocol

from django.utils.module_loading import import_string

from scheduling.conf import conf
from scheduling.errors import TargetError

TARGET_PIPELINE = "pipeline"
TARGET_BROKER_HEARTBEAT = "broker_heartbeat"
TARGET_DASHBOARD_UPDATE = "dashboard_update"
TARGET_BACKUP_MAINTENANCE = "backup_maintenance"

TASKS_OF_STANDING_TARGETS = {
    TARGET_PIPELINE: "scheduling.tasks.pipeline",
    TARGET_BROKER_HEARTBEAT: "scheduling.tasks.broker_heartbeat",
    TARGET_DASHBOARD_UPDATE: "scheduling.tasks.dashboard_update",
    TARGET_BACKUP_MAINTENANCE: "scheduling.tasks.backup_maintenance",
}
TASK_OF_ANY_TARGET = "scheduling.tasks.run_target"


class TargetSetting(Protocol):
    """What an entry of OPS_TARGETS tells."""

    @property
    def callable(self) -> str: ...  # noqa: D102 one property per argument
    @property
    def interval_ms(self) -> int: ...  # noqa: D102
    @property
    def error_backoff_ms(self) -> int: ...  # noqa: D102
    @property
    def max_consecutive_errors(self) -> int: ...  # noqa: D102


def call_target(name: str) -> Any:
    """Call a target, sync or async, without arguments, and return what it returns.

    Raises TargetError if the setting does not name it or its path does not import.
    """
    result = _load(name)()
    return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _load(name: str) -> Callable[[], Any]:
    target: TargetSetting | None = conf.OPS_TARGETS.get(name)
    if target is None:
        raise TargetError(f"OPS_TARGETS has no target {name!r}: add it or disable the job")
    try:
        function = import_string(target.callable)
    except ImportError as error:
        raise TargetError(
            f"target {name!r}: {target.callable!r} does not import ({error}): "
            "correct its path in OPS_TARGETS"
        ) from error
    if not callable(function):
        raise TargetError(f"target {name!r}: {target.callable!r} is not callable")
    return function  # type: ignore[no-any-return] # an imported name has no type
