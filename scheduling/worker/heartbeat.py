"""Proves this worker alive: raises a counter from a daemon thread with a connection of its own."""

import logging
import os
import threading
from collections import Counter
from itertools import chain
from typing import Any
from uuid import UUID

from celery.worker import state
from django.db import Error, connection
from django.db.models import F

from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.models import Job, OfficeTask, WorkerProcess
from scheduling.queues import is_own_queue
from scheduling.worker import processes
from scheduling.worker.leftovers import end_leftovers
from scheduling.worker.runtime import runtime

logger = logging.getLogger(__name__)

EVERY_SECONDS = 2.0


class Heartbeat(threading.Thread):
    """One per worker process. A worker that was given up comes back as a new row."""

    def __init__(self, consumer: Any) -> None:
        super().__init__(name="ops-heartbeat", daemon=True)
        self._consumer = consumer
        self._stopping = threading.Event()

    def run(self) -> None:
        """Beat until stopped; an outage of the database is waited out."""
        while not self._stopping.is_set():
            try:
                self._beat()
            except Error as error:
                logger.warning("database_unreachable", extra={"error": str(error)})
                connection.close()
            except Exception:
                # A worker that stops beating loses its runs: no surprise may end this loop.
                logger.exception("heartbeat_failed")
            self._stopping.wait(EVERY_SECONDS)

    def stop(self) -> None:
        """Say goodbye: what still runs here is nobody's any more."""
        self._stopping.set()
        self.join(EVERY_SECONDS)
        if runtime.worker_id is None:
            return
        try:
            WorkerProcess.objects.filter(id=runtime.worker_id).update(stopped_at=database_now())
        except Error as error:
            logger.warning("database_unreachable", extra={"error": str(error)})

    def _beat(self) -> None:
        if not self._raise_counter(runtime.worker_id):
            runtime.worker_id = self._register()
            runtime.start_recorder()
        if runtime.follow_queues:
            self._serve_new_queues()

    def _raise_counter(self, worker_id: UUID | None) -> bool:
        """Return False if there is no such row, or it was given up meanwhile."""
        if worker_id is None:
            return False
        row = WorkerProcess.objects.live().filter(id=worker_id)
        return bool(
            row.update(
                beat_no=F("beat_no") + 1,
                reserved=_reserved(),
                queues=self._queues(),
                processes=_processes(),
            )
        )

    def _register(self) -> UUID:
        controller = self._consumer.controller
        end_leftovers(now=database_now())
        row = WorkerProcess.objects.create(
            scope=conf.SCHEDULER_SCOPE,
            hostname=self._consumer.hostname,
            host=processes.this_host(),
            pid=os.getpid(),
            processes=_processes(),
            pool=controller.pool_cls.__module__.rpartition(".")[2],
            concurrency=controller.concurrency or 1,
            can_stop=runtime.can_stop,
            follows_queues=runtime.follow_queues,
            queues=self._queues(),
            started_at=database_now(),
        )
        logger.info("worker_registered", extra={"worker_id": str(row.id), "pid": row.pid})
        return row.id

    def _queues(self) -> list[str]:
        return sorted(self._consumer.app.amqp.queues.consume_from)

    def _serve_new_queues(self) -> None:
        """A worker started without -Q serves every queue of its scope, new ones too."""
        tasks = set(self._consumer.app.tasks)
        jobs = Job.objects.in_scope(conf.SCHEDULER_SCOPE).filter(task__in=tasks)
        offices = OfficeTask.objects.filter(office__scope=conf.SCHEDULER_SCOPE, task__in=tasks)
        queues = (rows.values_list("queue", flat=True).distinct() for rows in (jobs, offices))
        for queue in set(chain(*queues)) - set(self._queues()):
            logger.info("queue_added", extra={"queue": queue})
            self._consumer.call_soon(_serve, self._consumer, queue)
            runtime.mailbox.wake()


def _serve(consumer: Any, queue: str) -> None:
    """Consume one of our queues as the app declares it, a foreign one as Celery's plain durable."""
    if is_own_queue(queue, conf.SCHEDULER_SCOPE):
        consumer.app.amqp.queues[queue]  # declares it with the app's queue type
    consumer.add_task_queue(queue)


def _processes() -> list[processes.Identity]:
    """Return this process and those of its pool, for whoever has to clear up after us."""
    pool = getattr(runtime.pool, "_pool", None) or []
    pids = [os.getpid(), *(process.pid for process in list(pool))]
    return [known for pid in pids if (known := processes.identity(pid)) is not None]


def _reserved() -> dict[str, int]:
    """Count by queue the messages that this worker holds and whose start is not granted yet."""
    held: Counter[str] = Counter()
    for request in _copy(state.reserved_requests) - _copy(state.active_requests):
        if getattr(request, "granted_at", None) is None:
            held[request.delivery_info["routing_key"]] += len(getattr(request, "fences", ())) or 1
    return dict(held)


def _copy(requests: Any) -> set[Any]:
    """Copy a set that the event loop's thread may change meanwhile."""
    while True:
        try:
            return set(requests)
        except RuntimeError:
            continue
