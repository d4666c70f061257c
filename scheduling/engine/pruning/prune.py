"""Prunes: history that is old enough becomes daily totals, and the account still closes (SPEC A20).

Totals, deletions and the moved edge of a batch commit together, so that a kill at any point neither
loses nor doubles a count. The row of each job is locked meanwhile (lock order: job, runs by id), so
that two beats never fold the same.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from uuid import UUID

from django.db import transaction

from scheduling.engine.one_by_one import together_or_alone
from scheduling.engine.pruning.fold import Fold, Limits, fold_of
from scheduling.engine.pruning.old_history import kept_since
from scheduling.models import Job, LedgerTotal, Run, RunEvent, SkippedTicks
from scheduling.recurrence import RecurrenceError

logger = logging.getLogger(__name__)

FEWEST = 5  # rows to read of a job, however little is left of the batch: two of them may stay


@dataclass(frozen=True)
class Pruned:
    """What one batch did: how many rows are gone, and of which jobs there may be more."""

    rows: int
    waiting: list[int]


def prune(job_ids: Sequence[int], *, now: datetime, rows: int) -> Pruned:
    """Fold the old history of jobs, one after the other, until about `rows` rows are gone.

    A job that cannot be folded is logged and left out; the others go on.
    """
    done = together_or_alone(job_ids, partial(_prune, now=now, rows=rows), set_aside=_leave_out)
    return Pruned(sum(one.rows for one in done), [pk for one in done for pk in one.waiting])


def _leave_out(job_id: int, error: Exception) -> None:
    logger.error("history_not_prunable", extra={"job": job_id}, exc_info=error)


@transaction.atomic
def _prune(job_ids: Sequence[int], *, now: datetime, rows: int) -> Pruned:
    kept = run_of_the_last_event()
    folds: list[Fold] = []
    waiting: list[int] = []
    for job_id in job_ids:
        left = rows - sum(fold.rows for fold in folds)
        job = _locked(job_id) if left > 0 else None
        if job is None:  # the batch is full, or somebody else holds the job
            waiting.append(job_id)
            continue
        limits = Limits(horizon=kept_since(job, now), rows=max(left, FEWEST), kept=kept)
        fold = _fold(job, limits)
        if fold.rows:
            folds.append(fold)
            waiting += [] if fold.complete else [job_id]
    if folds:
        _write(folds)
    return Pruned(sum(fold.rows for fold in folds), waiting)


def run_of_the_last_event() -> frozenset[UUID]:
    """The numbers of events go on from the highest that is there: it must not go."""
    events = RunEvent.objects.filter(seq__isnull=False).order_by("-seq")
    return frozenset(events.values_list("run_id", flat=True)[:1])


def _locked(job_id: int) -> Job | None:
    """Lock the job unless somebody else holds it; new runs may still refer to it."""
    jobs = Job.objects.select_for_update(skip_locked=True, no_key=True)
    return (
        jobs.only("id", "job_id", "scope", "planned_until", "pruned_until")
        .filter(id=job_id)
        .first()
    )


def _fold(job: Job, limits: Limits) -> Fold:
    try:
        return fold_of(job, limits)
    except RecurrenceError as error:
        logger.warning(
            "history_not_prunable",
            extra={"job_id": job.job_id, "scope": job.scope, "error": str(error)},
        )
        return Fold(job)


def _write(folds: Sequence[Fold]) -> None:
    for fold in folds:
        if fold.edge is not None:
            fold.job.pruned_until = fold.edge
    Job.objects.bulk_update([fold.job for fold in folds], ["pruned_until"])
    _add_to_totals(folds)
    spans = list(chain.from_iterable(fold.spans for fold in folds))
    SkippedTicks.objects.filter(id__in=spans).delete()
    SkippedTicks.objects.bulk_update([fold.cut for fold in folds if fold.cut], ["after", "count"])
    runs = list(chain.from_iterable(fold.runs for fold in folds))
    Run.objects.filter(id__in=runs).only("id").delete()  # and what hangs on it: attempts, events


def _add_to_totals(folds: Sequence[Fold]) -> None:
    """Nobody else writes the totals of a locked job."""
    counts = {(fold.job.pk, *key): count for fold in folds for key, count in fold.totals.items()}
    days = [day for _, day, _ in counts]
    known = LedgerTotal.objects.filter(
        job__in=[fold.job for fold in folds], day__gte=min(days), day__lte=max(days)
    )
    grown = []
    for total in known:
        if count := counts.pop((total.job_id, total.day, total.verdict), 0):
            total.count += count
            grown.append(total)
    LedgerTotal.objects.bulk_update(grown, ["count"])
    LedgerTotal.objects.bulk_create(
        LedgerTotal(job_id=job_id, day=day, verdict=verdict, count=count)
        for (job_id, day, verdict), count in counts.items()
    )
