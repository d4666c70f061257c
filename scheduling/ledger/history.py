"""Reads a job's verdicts in the order of their ticks, a few thousand rows at a time."""

import heapq
from collections.abc import Collection, Iterator
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from django.db.models import Q

from scheduling.models import Run, SkippedTicks
from scheduling.states import FINAL
from scheduling.tally import verdict_name
from scheduling.verdicts import INSTANT

PAGE = 5_000


class Verdict(NamedTuple):
    """What one row says of the ticks in (after, until]."""

    after: datetime
    until: datetime
    ticks: int
    name: str  # empty: the run is open
    epoch_id: int | None
    span_id: int | None  # None: a run, whose tick is `until`

    def __str__(self) -> str:
        if self.span_id is None:
            return f"the run of {self.until}"
        times = f"{self.after} to {self.until}"
        return f"skipped ticks {self.span_id} ({self.name}, {times})"


def verdicts(
    job_id: int, *, low: datetime, high: datetime, without: Collection[int] = ()
) -> Iterator[Verdict]:
    """Yield what touches (low, high], ordered by `after` as long as the ledger is honest.

    `without`: primary keys of the epochs whose runs are counted elsewhere.
    """
    runs = _runs(job_id, low, high, without)
    return heapq.merge(runs, _spans(job_id, low, high), key=attrgetter("after"))


def _runs(
    job_id: int, low: datetime, high: datetime, without: Collection[int]
) -> Iterator[Verdict]:
    """Page by the unique (job, tick), so that no page costs more than the first."""
    runs = Run.objects.filter(job_id=job_id, scheduled_for__lte=high).order_by("scheduled_for")
    if without:
        runs = runs.exclude(epoch_id__in=without)
    full = True
    while full:
        page = list(
            runs.filter(scheduled_for__gt=low).values_list(
                "scheduled_for", "epoch_id", "state", "reason"
            )[:PAGE]
        )
        for tick, epoch_id, state, reason in page:
            if tick is not None:  # says the filter; the type checker cannot know
                name = verdict_name(state, reason) if state in FINAL else ""
                yield Verdict(tick - INSTANT, tick, 1, name, epoch_id, None)
                low = tick
        full = len(page) == PAGE


def _spans(job_id: int, low: datetime, high: datetime) -> Iterator[Verdict]:
    spans = SkippedTicks.objects.filter(job_id=job_id).order_by("until", "id")
    position = Q(until__gt=low)
    full = True
    while full:
        page = list(spans.filter(position)[:PAGE])
        for span in page:
            if span.after >= high:
                return
            name = verdict_name("skipped", span.reason)
            yield Verdict(span.after, span.until, span.count, name, span.epoch_id, span.pk)
            position = Q(until__gt=span.until) | Q(until=span.until, id__gt=span.pk)
        full = len(page) == PAGE
