"""Resolves: pending runs that wait for nothing any more become ready.

What a run waits for is a moment (`not_before`, `next_attempt_at`) or the end of other runs.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from scheduling.engine.aside import for_runs
from scheduling.models import Run
from scheduling.models.run import RunQuerySet
from scheduling.transitions import make_ready, unlock

BATCH = 500
ENDED = 50  # runs whose ends are passed on in one transaction
MOST_IN_A_ROW = 10


def resolve_waiting(scope: str, *, now: datetime) -> int:
    """Make the due ones of a scope's pending runs ready; return how many."""
    return make_due_ready(Run.objects.in_scope(scope), now=now)


def pass_on_ends(scope: str, *, now: datetime) -> int:
    """Free or cancel those who wait for runs that have ended; return how much that was."""
    awaited = Run.objects.in_scope(scope).ended_but_awaited().order_by("finished_at")
    ended = list(awaited.values_list("id", flat=True)[:ENDED])
    return sum(done.changes for done in for_runs(ended, partial(unlock, now=now), now=now))


def pass_on(run_ids: Sequence[UUID], *, now: datetime) -> int:
    """Pass these ends on, and make ready whom they free; return how many that are.

    Who is cancelled with them passes that on in turn; a long row of them is left to the beat.
    """
    freed: list[UUID] = []
    ends = run_ids
    for _ in range(MOST_IN_A_ROW):
        unlocked = for_runs(ends, partial(unlock, now=now), now=now) if ends else []
        freed += [pk for done in unlocked for pk in done.freed]
        ends = [pk for done in unlocked for pk in done.cancelled]
    return make_due_ready(Run.objects.filter(id__in=freed), now=now) if freed else 0


def make_due_ready(runs: RunQuerySet, *, now: datetime) -> int:
    """Make a page of those runs ready that wait for nothing any more; return how many."""
    due = list(runs.due(now).order_by("id").values_list("id", flat=True)[:BATCH])
    return sum(for_runs(due, partial(make_ready, now=now), now=now))
