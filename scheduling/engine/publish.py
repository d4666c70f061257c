"""Publishes: after the commit, a message per claimed run, in batches, and notes which ones went.

A message that cannot be sent is no loss: the run stays queued, unpublished, and recover sends it
when the broker is back.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from celery import Celery
from django.db import transaction
from django.db.models import F
from kombu.exceptions import OperationalError

from scheduling.engine.delivery import Delivery, deliver
from scheduling.logs import configured_redactor
from scheduling.models import Run
from scheduling.states import RunState

logger = logging.getLogger(__name__)


class Publisher:
    """Sends over the app's pooled connections; `available` says whether the last try went."""

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.available = True

    def publish(self, runs: Sequence[Run], *, now: datetime) -> int:
        """Send the messages of the runs, as far as the broker takes them; return how many."""
        if not runs:
            return 0
        delivery = Delivery(runs)
        try:
            deliver(self.app, delivery)
            self.available = True
        except OperationalError as error:
            self.available = False
            logger.warning(
                "broker_unreachable",
                extra={"unpublished": len(delivery.waiting), "error": str(error)},
            )
        for run, refusal in delivery.refused:
            _note_refused(run, refusal)
        _note_published(delivery.sent, now)
        return len(delivery.sent)


def _note_refused(run: Run, error: Exception) -> None:
    """Say on the run why it does not start, and let the next try wait longer."""
    logger.warning("message_refused", extra={"queue": run.queue, "error": str(error)})
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
