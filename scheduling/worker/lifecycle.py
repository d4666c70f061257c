"""Hooks into the start and the end of every Celery worker that loads this app."""

from typing import Any

from celery.signals import celeryd_init, worker_init, worker_shutdown

from scheduling.worker import lost_redis
from scheduling.worker.child import tell_retries
from scheduling.worker.runtime import runtime
from scheduling.worker.step import LedgerStep

REQUEST = "scheduling.worker.request:LedgerRequest"


@celeryd_init.connect(weak=False)
def _add_step(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """Before the blueprint is built: the consumer gets our step."""
    instance.app.steps["consumer"].add(LedgerStep)
    runtime.follow_queues = not options.get("queues")
    lost_redis.install()


@worker_init.connect(weak=False)
def _fence_tasks(sender: Any, **_: Any) -> None:
    """After all tasks are imported and before the pool forks: every task is fenced by header."""
    for task in sender.app.tasks.values():
        task.Request = REQUEST
        tell_retries(task)


@worker_shutdown.connect(weak=False)
def _leave(**_: Any) -> None:
    """The pool has ended and reported: write that out, and only then say goodbye."""
    runtime.leave()
