"""Folds the oldest history of one job into daily totals: what to count, and what to delete.

A stretch is folded only whole: its edge stays before the first run that is open or ended lately,
and a stretch of skipped ticks that reaches over the edge is cut there, to the tick. Every verdict
that is taken away is counted once. A row whose count disagrees with the schedule is folded with
the count it has, so that `ledger --check` still reports it. Epochs are never folded: the planned
ticks of pruned days are computed from them, and there is one per edit of the schedule, not one per
tick.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from scheduling.models import Job, Run, SkippedTicks
from scheduling.recurrence.contract import EPOCH
from scheduling.states import RunState, Trigger
from scheduling.tally import day_of, ticks_by_day, unplanned_name, verdict_name
from scheduling.verdicts import INSTANT

LONGEST = timedelta(days=31)  # of one stretch: a pause of years is many days to count


@dataclass
class Fold:
    """What one job loses, and what is counted instead."""

    job: Job
    edge: datetime | None = None  # no tick up to here has a row any more
    totals: Counter[tuple[date, str]] = field(default_factory=Counter)
    runs: list[UUID] = field(default_factory=list)
    spans: list[int] = field(default_factory=list)
    cut: SkippedTicks | None = None  # what is left of the one that reaches over the edge
    complete: bool = True  # nothing is left that could be folded now

    @property
    def rows(self) -> int:
        """How many rows it deletes or cuts, attempts and events not counted."""
        return len(self.runs) + len(self.spans) + (self.cut is not None)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may be folded: what ended before `horizon` but for the runs `kept`, in `rows` rows."""

    horizon: datetime
    rows: int
    kept: frozenset[UUID] = frozenset()


class _Ended(NamedTuple):
    """A run of a tick, as far as folding needs it."""

    id: UUID
    tick: datetime
    state: str
    reason: str
    finished_at: datetime | None


def fold_of(job: Job, limits: Limits) -> Fold:
    """Return what can be folded of a locked job, with its runs locked too; writes nothing.

    Raises RecurrenceError when skipped ticks belong to an epoch that cannot be read.
    """
    fold = Fold(job)
    _fold_ticks(fold, limits)
    if fold.complete:
        _fold_unplanned(fold, limits)
    return fold if _lock(fold.runs, limits) else Fold(job)


def _fold_ticks(fold: Fold, limits: Limits) -> None:
    if fold.job.planned_until is None:
        return
    furthest = min(limits.horizon - INSTANT, fold.job.planned_until)
    runs, furthest = _settled_runs(fold.job, furthest, limits)
    reach = runs[-1].tick if len(runs) == limits.rows else furthest  # behind it there are more
    spans = _whole_spans(fold.job, reach, limits)
    if not runs and not spans:
        return  # a stretch that reaches over the edge is not cut for its own sake
    fold.edge = _edge(runs, spans, reach, limits)
    fold.complete = fold.edge == furthest
    for run in runs:
        if run.tick <= fold.edge:
            fold.totals[day_of(run.tick), verdict_name(run.state, run.reason)] += 1
            fold.runs.append(run.id)
    for span in _spans_from_before(fold.job, spans, fold.edge):
        _fold_span(fold, span, fold.edge)


def _settled_runs(job: Job, furthest: datetime, limits: Limits) -> tuple[list[_Ended], datetime]:
    """Return the oldest runs up to the first that has to stay, and how far one may go."""
    rows = Run.objects.filter(
        job=job, scheduled_for__gt=job.pruned_until or EPOCH, scheduled_for__lte=furthest
    )
    fields = ("id", "scheduled_for", "state", "reason", "finished_at")
    oldest = rows.order_by("scheduled_for").values_list(*fields)[: limits.rows]
    settled: list[_Ended] = []
    for run in (_Ended(*row) for row in oldest):
        if run.id in limits.kept or run.finished_at is None or run.finished_at >= limits.horizon:
            return settled, run.tick - INSTANT
        settled.append(run)
    return settled, furthest


def _whole_spans(job: Job, reach: datetime, limits: Limits) -> list[SkippedTicks]:
    whole = SkippedTicks.objects.filter(
        job=job, until__gt=job.pruned_until or EPOCH, until__lte=reach
    )
    return list(whole.select_related("epoch").order_by("until", "id")[: limits.rows])


def _edge(
    runs: Sequence[_Ended], spans: Sequence[SkippedTicks], reach: datetime, limits: Limits
) -> datetime:
    """Return how far this fold goes: not beyond what was read, and not too many days."""
    first = min([run.tick for run in runs[:1]] + [span.after for span in spans[:1]])
    edges = [reach, first + LONGEST]
    if len(spans) == limits.rows:
        edges.append(spans[-1].until)
    return min(edges)


def _spans_from_before(
    job: Job, whole: Sequence[SkippedTicks], edge: datetime
) -> list[SkippedTicks]:
    """Return the spans that end before the edge, and the one that reaches over it."""
    reaching = SkippedTicks.objects.filter(job=job, until__gt=edge).select_related("epoch")
    following = reaching.order_by("until", "id").first()
    spans = [span for span in whole if span.until <= edge]
    return [*spans, following] if following is not None and following.after < edge else spans


def _fold_span(fold: Fold, span: SkippedTicks, edge: datetime) -> None:
    """Count a span's ticks up to the edge by their days; what it counts beyond them stays."""
    name = verdict_name(RunState.SKIPPED, span.reason)
    rest = span.count
    end = min(span.until, edge)
    for day, ticks in ticks_by_day(span.epoch.recurrence(), span.after, end):
        part = min(ticks, rest)
        rest -= part
        if part:
            fold.totals[day, name] += part
    if rest and span.until > edge:
        span.after, span.count = edge, rest
        fold.cut = span
        return
    if rest:
        fold.totals[day_of(end), name] += rest
    fold.spans.append(span.pk)


def _fold_unplanned(fold: Fold, limits: Limits) -> None:
    """Fold runs without a tick by the day they ended.

    The newest start-up run stays: it is what says that this deployment had its one (SPEC A10).
    """
    room = limits.rows - len(fold.runs)
    ended = Run.objects.filter(
        job=fold.job, scheduled_for=None, finished_at__lt=limits.horizon
    ).order_by("finished_at")
    page = list(ended.values_list("id", "trigger", "state", "reason", "finished_at")[:room])
    fold.complete = len(page) < room
    kept = set(limits.kept)
    if any(trigger == Trigger.STARTUP for _, trigger, *_ in page):
        kept.add(_newest_startup_run(fold.job))
    for run_id, trigger, state, reason, finished_at in page:
        if run_id not in kept and finished_at is not None:
            fold.totals[day_of(finished_at), unplanned_name(trigger, state, reason)] += 1
            fold.runs.append(run_id)


def _newest_startup_run(job: Job) -> UUID:
    runs = Run.objects.filter(job=job, scheduled_for=None, trigger=Trigger.STARTUP)
    return runs.order_by("-id").values_list("id", flat=True)[0]


def _lock(runs: Sequence[UUID], limits: Limits) -> bool:
    """Lock the runs in the order of their ids; an operator may have re-opened one meanwhile."""
    ended = Run.objects.filter(id__in=runs, finished_at__lt=limits.horizon).order_by("id")
    return len(ended.select_for_update().values_list("id", flat=True)) == len(runs)
