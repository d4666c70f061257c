"""Runs whose queue only plain Celery workers serve are done once their message is theirs."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from scheduling.bulk import update_rows
from scheduling.models.event import EventKind
from scheduling.states import RunState
from scheduling.transitions.rows import locked, move, tell

HANDED_OVER = "handed_over"


def mark_sent(run_ids: Collection[UUID], *, now: datetime) -> set[UUID]:
    """Note on queued runs, before their only message goes, that it did; return which they are.

    Whoever finds the mark without the end after a crash does not send again: a tick may not run
    twice, and nobody would tell.
    """
    with transaction.atomic():
        won = [run for run in locked(run_ids, {RunState.QUEUED}) if run.published_at is None]
        for run in won:
            run.published_at = now
        update_rows(won, ["published_at"])
    return {run.pk for run in won}


def unmark_sent(run_ids: Collection[UUID]) -> None:
    """Take the mark back: the broker did not answer, and nothing went."""
    with transaction.atomic():
        won = locked(run_ids, {RunState.QUEUED})
        for run in won:
            run.published_at = None
        update_rows(won, ["published_at"])


def hand_over(run_ids: Collection[UUID], *, now: datetime, confirmed: bool) -> int:
    """End queued runs as done: what becomes of them is not known here; return how many."""
    with transaction.atomic():
        won = locked(run_ids, {RunState.QUEUED})
        for run in won:
            move(run, RunState.DONE)
            run.reason, run.finished_at = HANDED_OVER, now
            run.error = "" if confirmed else "the broker did not confirm its message"
        update_rows(won, ["state", "reason", "finished_at", "error"])
        tell(won, EventKind.COMPLETED, now)
    return len(won)
