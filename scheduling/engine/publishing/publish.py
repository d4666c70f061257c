"""Publishes: after the commit, a message per claimed run, in batches, and notes which ones went.

A message that cannot be sent is no loss: the run stays queued, unpublished, and recover sends it
when the broker is back. Runs of a queue that plain Celery workers serve are handed over, those of
foreign workers that tell only their end are sent once; those of a foreign queue that nobody serves
are held back.
"""

import logging
import math
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from celery import Celery
from django.db import transaction
from django.db.models import F
from kombu.exceptions import OperationalError

from scheduling.engine.publishing.batch import Parcel, pack, runs_of
from scheduling.engine.publishing.delivery import Delivery, deliver
from scheduling.engine.publishing.foreign_message import read_along
from scheduling.engine.publishing.hand_over import hand_over_runs
from scheduling.engine.publishing.message import is_routed
from scheduling.engine.publishing.once import send_once
from scheduling.engine.publishing.serving import Serving
from scheduling.logs import configured_redactor
from scheduling.models import Run
from scheduling.models.job import Reporting
from scheduling.states import RunState
from scheduling.transitions import NOT_PUBLISHED, note_refused, note_unstarted

logger = logging.getLogger(__name__)

FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 0.5, 4.0


class Publisher:
    """Sends over the app's pooled connections; a broker that did not answer gets a rest."""

    def __init__(self, app: Celery, serving: Serving | None = None) -> None:
        self.app = app
        self.serving = serving  # None: everything that this process sends is for our own workers
        self._rest_seconds = 0.0
        self.rests_until = -math.inf

    @property
    def available(self) -> bool:
        """Whether it is worth a try: each costs the time in which a dead broker does not answer."""
        return time.monotonic() >= self.rests_until

    def publish(self, runs: Sequence[Run], *, now: datetime) -> int:
        """Send the messages of the runs, as far as the broker takes them; return how many."""
        if not runs or not self.available:
            return 0
        runs = self._but_held_back(runs)
        read_along(runs)
        out_of_hand = [run for run in runs if run.reporting == Reporting.END_ONLY]
        untracked = self.untracked({run.queue for run in runs})
        handed_over = [run for run in runs if run.queue in untracked and not run.reporting]
        once = {run.pk for run in (*out_of_hand, *handed_over)}
        rest = [run for run in runs if run.pk not in once]
        sent = 0
        try:
            for theirs, send in ((handed_over, hand_over_runs), (out_of_hand, send_once)):
                if theirs:
                    sent += self._note_sent_once(send(self.app, theirs, now=now))
        except OperationalError as error:
            self._note_outage(error, len(runs))
            return 0
        return sent + (self._deliver(rest, now) if rest and self.available else 0)

    def untracked(self, queues: Iterable[str]) -> set[str]:
        """Return those of the queues that workers without the fence serve."""
        return self.serving.untracked(queues) if self.serving is not None else set()

    def _deliver(self, runs: Sequence[Run], now: datetime) -> int:
        delivery = Delivery(pack(self.app, runs), now=now)
        try:
            deliver(self.app, delivery)
            self._rest_seconds = 0.0
        except OperationalError as error:
            self._note_outage(error, len(delivery.waiting))
        for parcel, refusal in delivery.refused:
            _note_refused(parcel, refusal)
        sent = [run for parcel in delivery.sent for run in runs_of(parcel)]
        _note_published(sent, now)
        return len(sent)

    def held_back(self, queues: Iterable[str]) -> set[str]:
        """Return those of the queues to which nothing is sent now: nobody would get it.

        Before the workers have been asked those are all that others may serve.
        """
        if self.serving is None or not (foreign := self.serving.foreign(queues)):
            return set()
        return self.serving.unserved(foreign) if self.serving.knows() else foreign

    def _but_held_back(self, runs: Sequence[Run]) -> list[Run]:
        """Leave out what is held back, and say so; recover tries it again in a few seconds."""
        queues = self.held_back({run.queue for run in runs})
        held = {run.pk: run for run in runs if run.queue in queues and not is_routed(run)}
        if held and self.serving is not None and self.serving.knows():
            _note_unserved(held.values())
        return [run for run in runs if run.pk not in held]

    def _note_sent_once(self, delivery: Delivery) -> int:
        for run, refusal in delivery.refused:
            _note_refused(run, refusal)
        if delivery.waiting:
            self._rest()  # or it would leave one more message in doubt at each turn
        return len(delivery.sent)

    def _note_outage(self, error: Exception, unpublished: int) -> None:
        self._rest()
        logger.warning(
            "broker_unreachable", extra={"unpublished": unpublished, "error": str(error)}
        )

    def _rest(self) -> None:
        self._rest_seconds = min(
            max(FIRST_REST_SECONDS, 2 * self._rest_seconds), LONGEST_REST_SECONDS
        )
        self.rests_until = time.monotonic() + self._rest_seconds


def _note_refused(parcel: Parcel, error: Exception) -> None:
    logger.warning("message_refused", extra={"queue": parcel.queue, "error": str(error)})
    text = configured_redactor().text(f"not published: {error}")
    note_refused([run.id for run in runs_of(parcel)], error=text)


def _note_unserved(runs: Collection[Run]) -> None:
    for queue, task in {(run.queue, run.task) for run in runs}:
        note_unstarted(
            [run.id for run in runs if (run.queue, run.task) == (queue, task)],
            error=f"not published: no worker serves the queue {queue!r}. "
            f"Correct the name of the task {task!r}, or start the worker that knows it",
            error_code=NOT_PUBLISHED,
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
