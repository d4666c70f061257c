"""Runs that will not start end with the reason."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from scheduling.bulk import update_rows
from scheduling.states import RunState, SkipReason
from scheduling.transitions.rows import locked, move


def skip(run_ids: Collection[UUID], reason: SkipReason, *, now: datetime) -> int:
    """End runs that have not started, with the reason; return how many were still waiting."""
    with transaction.atomic():
        won = locked(run_ids, {RunState.PENDING, RunState.READY, RunState.QUEUED})
        for run in won:
            move(run, RunState.SKIPPED)
            run.reason = reason
            run.finished_at = now
        update_rows(won, ["state", "reason", "finished_at"])
    return len(won)
