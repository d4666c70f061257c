"""Writes the ticks that end without a run: equal verdicts in a row are one lengthening stretch.

The caller holds the locks of the jobs, so that nobody else writes their stretches.
"""

from collections.abc import Sequence
from datetime import datetime

from scheduling.bulk import update_rows
from scheduling.models import SkippedTicks

Edge = tuple[int, int, str, datetime]  # job, epoch, reason, and the instant where a stretch ends


def write_skipped(skipped: Sequence[SkippedTicks]) -> None:
    """Lengthen each job's last stretch where these go on with the same verdict, else insert."""
    if not skipped:
        return
    known = _stretches_that_end_where_these_begin(skipped)
    fresh: list[SkippedTicks] = []
    longer: dict[int, SkippedTicks] = {}
    for ticks in skipped:
        before = known.pop(_edge(ticks, ticks.after), None)
        if before is None:
            fresh.append(ticks)
            known[_edge(ticks, ticks.until)] = ticks
            continue
        before.until, before.count = ticks.until, before.count + ticks.count
        known[_edge(ticks, ticks.until)] = before
        if before.pk is not None:
            longer[before.pk] = before
    update_rows(list(longer.values()), ["until", "count"])
    SkippedTicks.objects.bulk_create(fresh)


def _stretches_that_end_where_these_begin(
    skipped: Sequence[SkippedTicks],
) -> dict[Edge, SkippedTicks]:
    candidates = SkippedTicks.objects.filter(
        job_id__in={ticks.job_id for ticks in skipped},
        until__in={ticks.after for ticks in skipped},
    )
    return {_edge(stretch, stretch.until): stretch for stretch in candidates}


def _edge(ticks: SkippedTicks, at: datetime) -> Edge:
    return ticks.job_id, ticks.epoch_id, ticks.reason, at
