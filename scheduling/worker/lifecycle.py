"""Hooks into the start and the end of every Celery worker that loads this app."""

import sys
from typing import Any

from celery.signals import (
    celeryd_init,
    task_unknown,
    worker_init,
    worker_process_init,
    worker_shutdown,
    worker_shutting_down,
)

from scheduling.conf import conf
from scheduling.fence import BATCH_TASK, HEADER, parse_fences
from scheduling.worker import redis_qos
from scheduling.worker.child import tell_retries
from scheduling.worker.introduction import introduce_ourselves
from scheduling.worker.processes import lead_a_group
from scheduling.worker.runtime import runtime
from scheduling.worker.step import LedgerStep

SWITCH_SECONDS = 0.0005
REQUEST = "scheduling.worker.request:LedgerRequest"
BATCH_REQUEST = "scheduling.worker.batch_request:BatchRequest"


@celeryd_init.connect(weak=False)
def _add_step(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """Before the blueprint is built: the consumer gets our step."""
    instance.app.steps["consumer"].add(LedgerStep)
    runtime.follow_queues = not options.get("queues")
    introduce_ourselves()
    redis_qos.install()


@worker_init.connect(weak=False)
def _share_fairly(**_: Any) -> None:
    """Let threads change places often: the event loop gives way at every system call.

    At Python's own interval of 5 ms it would then wait that long for the recorder, many times a
    run.
    """
    sys.setswitchinterval(SWITCH_SECONDS)


@worker_init.connect(weak=False)
def _fence_tasks(sender: Any, **_: Any) -> None:
    """After all tasks are imported and before the pool forks: every task is fenced by header."""
    for task in sender.app.tasks.values():
        task.Request = BATCH_REQUEST if task.name == BATCH_TASK else REQUEST
        tell_retries(task)


@task_unknown.connect(weak=False)
def _note_unknown_task(message: Any, name: str, **_: Any) -> None:
    """The message is gone by now; the run says why, and fails if no other worker knows the task."""
    error = f"no worker that took it knows the task {name!r}: load its module or correct the job"
    for fence in parse_fences(message.headers.get(HEADER)):
        runtime.recorder.note_unknown_task(fence, error)


@worker_process_init.connect(weak=False)
def _lead_a_group(**_: Any) -> None:
    """In each pool process: what a task starts can then be ended with it."""
    lead_a_group()


@worker_shutting_down.connect(weak=False)
def _bound_the_stop(**_: Any) -> None:
    """In a signal handler: what runs may finish, within the operator's limit (SPEC A17)."""
    if runtime.stopper is not None:
        runtime.stopper.release_all_after(conf.OPS_STOP_SECONDS)


@worker_shutdown.connect(weak=False)
def _leave(**_: Any) -> None:
    """The pool has ended and reported: write that out, and only then say goodbye."""
    runtime.leave()
