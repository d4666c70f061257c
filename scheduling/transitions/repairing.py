"""A run that cannot be read or dealt with ends; a repair, beside the ways between the states."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from scheduling.bulk import insert_rows
from scheduling.columns import unreadable_columns
from scheduling.logs import configured_redactor
from scheduling.models import Attempt, Run, RunEvent
from scheduling.models.event import EventKind
from scheduling.redaction import clip
from scheduling.states import Outcome, RunState
from scheduling.storable import storable

UNREADABLE = "unreadable"
LONGEST_PROBLEM = 1_000  # characters
TOLD = frozenset({"scope", "attempt"})  # by the event


def fail_unreadable(run_id: UUID, *, error: Exception, now: datetime) -> bool:
    """End an open run as failed, whatever its row says; return whether it was still open.

    The row is written without being read. A process that works on the run is stopped by its
    worker, which finds that the run is not its own any more.
    """
    unreadable = unreadable_columns(Run, run_id)
    text = _problem(unreadable, error)
    end = {"error": text, "error_code": UNREADABLE, "finished_at": now}
    with transaction.atomic():
        run = Run.objects.open().filter(id=run_id)
        if not run.update(state=RunState.FAILED, reason=UNREADABLE, **end):
            return False
        attempts = Attempt.objects.filter(run_id=run_id, finished_at=None)
        attempts.update(outcome=Outcome.FAILED, **end)
        if not TOLD & set(unreadable):
            _tell(run_id, now)
    return True


def _problem(unreadable: list[str], error: Exception) -> str:
    what = f"{', '.join(unreadable)} cannot be read" if unreadable else "cannot be dealt with"
    cause = clip(f"{type(error).__name__}: {error}", LONGEST_PROBLEM)
    text = f"{what} ({cause}): put it right with SQL, then retry the run"
    return configured_redactor().text(storable(text))


def _tell(run_id: UUID, now: datetime) -> None:
    for scope, attempt in Run.objects.filter(id=run_id).values_list("scope", "attempt"):
        event = RunEvent(scope=scope, kind=EventKind.FAILED, run_id=run_id, attempt=attempt, at=now)
        insert_rows([event])
