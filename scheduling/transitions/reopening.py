"""An operator's retry re-opens a run that ended, with a fresh budget of retries (SPEC A19)."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from scheduling.bulk import update_rows
from scheduling.models import Run
from scheduling.models.event import EventKind
from scheduling.states import RAN, RunState
from scheduling.transitions.rows import locked, move, tell

REOPENED_FIELDS = [
    "state", "reason", "retry_count", "lost_count", "not_before", "next_attempt_at", "expires_at",
    "finished_at", "result", "error", "error_code",
]  # fmt: skip


def reopen(run_ids: Collection[UUID], *, now: datetime) -> list[Run]:
    """Make runs that ran pending again; return those that had ended. Attempts keep the history."""
    with transaction.atomic():
        won = locked(run_ids, set(RAN))
        for run in won:
            move(run, RunState.PENDING)
            run.reason, run.result, run.error, run.error_code = "retry", None, "", ""
            run.retry_count = run.lost_count = 0
            run.not_before = run.next_attempt_at = run.expires_at = run.finished_at = None
        update_rows(won, REOPENED_FIELDS)
        tell(won, EventKind.RETRYING, now)
    return won
