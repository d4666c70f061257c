"""Publishes: after the commit, a message per claimed run that says "look at run X, attempt N".

A message that cannot be sent is no loss: the run stays queued, unpublished, and recover sends it
when the broker is back.
"""

import logging
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from math import ceil

from celery import Celery
from django.db import transaction
from django.db.models import F
from kombu import Producer
from kombu.exceptions import OperationalError

from scheduling.fence import HEADER, RETRIES_HEADER, Fence
from scheduling.models import Run
from scheduling.states import RunState
from scheduling.transitions import HARD_LIMIT_MARGIN

logger = logging.getLogger(__name__)

# One quick second try for a connection that went stale in the pool; after that recover's turn.
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
                    Run.objects.filter(id=run.id).update(error=f"not published: {error}")
                    waiting.popleft()
                    return
                sent.append(waiting.popleft())

    def _send(self, run: Run, producer: Producer) -> None:
        self.app.send_task(
            run.task,
            args=run.args,
            kwargs=run.params,
            task_id=str(run.attempt_id),
            queue=run.queue,
            producer=producer,
            headers={HEADER: str(Fence(run.id, run.attempt)), RETRIES_HEADER: run.retry_count},
            soft_time_limit=ceil(run.timeout.total_seconds()),
            time_limit=ceil((run.timeout + HARD_LIMIT_MARGIN).total_seconds()),
            ignore_result=True,
            retry=True,
            retry_policy=RETRY_POLICY,
        )


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
