"""Messages that are sent once, because sending twice would be running twice (DESIGN rule 4).

Runs whose queue only plain Celery workers serve are done once their message is theirs; those of
foreign workers that tell only the end are out of hand until they do (`reporting`).
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from scheduling.bulk import update_rows
from scheduling.models.event import EventKind
from scheduling.states import RunState
from scheduling.transitions.reporting import report_due
from scheduling.transitions.rows import locked, move, tell

HANDED_OVER = "handed_over"


def mark_sent(run_ids: Collection[UUID], *, now: datetime) -> set[UUID]:
    """Set `published_at` before the only message of queued runs is sent; return the ids set.

    After a crash a run that is marked and has not ended is not sent again: a worker may be running
    it, and would not tell us. Of a foreign worker a report is waited for until the deadline.
    """
    with transaction.atomic():
        won = [run for run in locked(run_ids, {RunState.QUEUED}) if run.published_at is None]
        for run in won:
            run.published_at = now
            run.deadline_at = report_due(run, now) if run.reporting else None
        update_rows(won, ["published_at", "deadline_at"])
    return {run.pk for run in won}


def unmark_sent(run_ids: Collection[UUID]) -> None:
    """Take the mark back: the broker did not answer, and nothing went."""
    with transaction.atomic():
        won = locked(run_ids, {RunState.QUEUED})
        for run in won:
            run.published_at = run.deadline_at = None
        update_rows(won, ["published_at", "deadline_at"])


def hand_over(run_ids: Collection[UUID], *, now: datetime, error: str = "") -> int:
    """End queued runs as done: what becomes of them is not known here; return how many.

    `error` says what is doubtful about it.
    """
    with transaction.atomic():
        won = locked(run_ids, {RunState.QUEUED})
        for run in won:
            move(run, RunState.DONE)
            run.reason, run.finished_at = HANDED_OVER, now
            run.error, run.error_code = error, ""
        update_rows(won, ["state", "reason", "finished_at", "error", "error_code"])
        tell(won, EventKind.COMPLETED, now)
    return len(won)
