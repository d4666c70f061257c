"""Runs come into being, and become ready once they wait for nothing."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from scheduling.bulk import insert_rows, update_rows
from scheduling.models import Run
from scheduling.states import RunState
from scheduling.transitions.rows import locked, move


def open_runs(runs: Sequence[Run]) -> None:
    """Insert new runs; the unique (job, tick) refuses a second run of a tick."""
    insert_rows(runs)


def make_ready(run_ids: Collection[UUID], *, now: datetime) -> int:
    """Pending runs that wait for nothing any more become ready; return how many."""
    with transaction.atomic():
        won = locked(run_ids, {RunState.PENDING})
        for run in won:
            move(run, RunState.READY)
            run.ready_at = run.ready_at or now
            run.next_attempt_at = None
        update_rows(won, ["state", "ready_at", "next_attempt_at"])
    return len(won)
