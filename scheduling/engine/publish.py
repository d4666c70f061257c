"""Publishes: after the commit, a message per claimed run that says "look at run X, attempt N".

A message that cannot be sent is no loss: the run stays queued, unpublished, and recover sends it
when the broker is back.
"""

import logging
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import Any

from celery import Celery
from django.db import transaction
from django.db.models import F
from kombu import Exchange, Producer, Queue
from kombu.exceptions import OperationalError

from scheduling.fence import HEADER, RETRIES_HEADER, Fence
from scheduling.logs import configured_redactor
from scheduling.models import Run
from scheduling.states import RunState
from scheduling.transitions import HARD_LIMIT_MARGIN

logger = logging.getLogger(__name__)

# One quick second try for a connection that went stale in the pool; after that recover's turn.
CONFIRM_TIMEOUT_SECONDS = 5  # a broker that blocks publishing must not hold the beat
RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0}


class Publisher:
    """Sends over the app's pooled connections; `available` says whether the last try went."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.available = True

    def publish(self, runs: Sequence[Run], *, now: datetime) -> int:
        """Send the runs in order, until the broker fails; return how many were sent."""
        sent: list[Run] = []
        waiting = deque(runs)
        try:
            while waiting:
                self._send_all(waiting, sent)
            self.available = True
        except (OperationalError, OSError) as error:
            self.available = False
            logger.warning(
                "broker_unreachable", extra={"unpublished": len(waiting), "error": str(error)}
            )
        _note_published(sent, now)
        return len(sent)

    def _send_all(self, waiting: deque[Run], sent: list[Run]) -> None:
        """Send until done, or until a run's queue refuses it: that closes the channel."""
        with self.app.producer_or_acquire() as producer:
            while waiting:
                run = waiting[0]
                try:
                    self._send(run, producer)
                except (OperationalError, OSError):
                    raise
                except Exception as error:
                    # One queue that refuses its message must not keep the others waiting.
                    logger.exception("message_refused", extra={"queue": run.queue})
                    _note_refused(waiting.popleft(), error)
                    return
                sent.append(waiting.popleft())

    def _send(self, run: Run, producer: Producer) -> None:
        redactor = configured_redactor()
        self.app.send_task(
            run.task,
            args=run.args,
            kwargs=run.params,
            task_id=str(run.attempt_id),
            queue=_queue_of(run),
            producer=producer,
            headers={HEADER: str(Fence(run.id, run.attempt)), RETRIES_HEADER: run.retry_count},
            ignore_result=True,
            # What Flower and the worker's log show of a task leaves the platform like any text.
            argsrepr=redactor.text(repr(run.args)),
            kwargsrepr=redactor.text(repr(run.params)),
            retry=True,
            retry_policy=RETRY_POLICY,
            confirm_timeout=CONFIRM_TIMEOUT_SECONDS,
            **_limits(run),
        )


def _queue_of(run: Run) -> Any:
    """Our own queues are declared as the app declares them; a foreign one is taken as it is."""
    if run.queue.startswith(f"{run.scope}."):
        return run.queue
    return Queue(run.queue, Exchange(""), routing_key=run.queue, no_declare=True)


def _limits(run: Run) -> dict[str, Any]:
    """Return the run's soft and hard limit in seconds; without one the task's own hold."""
    if run.timeout is None:
        return {}
    return {
        "soft_time_limit": ceil(run.timeout.total_seconds()),
        "time_limit": ceil((run.timeout + HARD_LIMIT_MARGIN).total_seconds()),
    }


def _note_refused(run: Run, error: Exception) -> None:
    """Say on the run why it does not start, and let the next try wait longer."""
    text = configured_redactor().text(f"not published: {error}")
    Run.objects.filter(id=run.id).update(error=text, publish_count=F("publish_count") + 1)


def _note_published(runs: Sequence[Run], now: datetime) -> None:
    """Remember when, so that recover can tell a message on its way from one never sent."""
    if not runs:
        return
    with transaction.atomic():
        # What a worker has locked is being started, and needs no note any more.
        waiting = (
            Run.objects.select_for_update(skip_locked=True)
            .open(RunState.QUEUED)
            .filter(id__in=[run.id for run in runs])
            .order_by("id")
            .values_list("id", flat=True)
        )
        Run.objects.filter(id__in=list(waiting)).update(
            published_at=now, publish_count=F("publish_count") + 1
        )
