"""Resolves: pending runs that wait for nothing any more become ready."""

from datetime import datetime
from functools import partial

from scheduling.engine.aside import for_runs
from scheduling.models import Run
from scheduling.transitions import make_ready

BATCH = 500


def resolve_waiting(scope: str, *, now: datetime) -> int:
    """Make the due ones of a scope's pending runs ready; return how many."""
    due = list(
        Run.objects.in_scope(scope).due(now).order_by("id").values_list("id", flat=True)[:BATCH]
    )
    return sum(for_runs(due, partial(make_ready, now=now), now=now))
