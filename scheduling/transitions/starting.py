"""Queued runs start behind the fence, or fail because no worker can start them."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from scheduling.fence import Fence
from scheduling.models import Attempt, Run, WorkerProcess
from scheduling.models.event import EventKind
from scheduling.states import RunState
from scheduling.transitions.rows import locked, locked_by_fence, move, tell

UNKNOWN_TASK = "UnknownTask"
HARD_LIMIT_MARGIN = timedelta(seconds=30)  # SPEC A16: hard limit = the run's timeout + 30 s
STARTED_FIELDS = [
    "state", "reason", "error", "error_code", "started_at", "worker", "deadline_at",
]  # fmt: skip


def start(fences: Collection[Fence], *, worker_id: UUID, now: datetime) -> set[Fence]:
    """Grant the starts that the ledger still expects; any other is a duplicate or too late.

    A worker that was given up gets nothing: its runs would be taken from it at once.
    """
    with transaction.atomic():
        expected = locked_by_fence(fences, RunState.QUEUED)
        alive = WorkerProcess.objects.live().filter(id=worker_id).exists()
        won = [run for run in expected if alive and not _too_late(run, now)]
        for run in won:
            move(run, RunState.RUNNING)
            run.reason = ""
            if run.error_code == UNKNOWN_TASK:  # this worker knows the task after all
                run.error = run.error_code = ""
            run.started_at = now
            run.worker_id = worker_id
            run.deadline_at = now + run.timeout + HARD_LIMIT_MARGIN if run.timeout else None
        Run.objects.bulk_update(won, STARTED_FIELDS)
        Attempt.objects.bulk_create(
            Attempt(
                id=run.attempt_id or uuid7(),
                run=run,
                number=run.attempt,
                worker_id=worker_id,
                started_at=now,
            )
            for run in won
        )
        tell(won, EventKind.STARTED, now)
    return {Fence(run.id, run.attempt) for run in won}


def note_unknown_task(fences: Collection[Fence], *, error: str) -> set[Fence]:
    """Say on queued runs why a worker could not start them; their state stays as it is."""
    with transaction.atomic():
        won = locked_by_fence(fences, RunState.QUEUED)
        Run.objects.filter(id__in=[run.id for run in won]).update(
            error=error, error_code=UNKNOWN_TASK
        )
    return {Fence(run.id, run.attempt) for run in won}


def fail_unstarted(run_ids: Collection[UUID], *, now: datetime) -> int:
    """End queued runs that no worker can start, with the reason that is noted on them."""
    with transaction.atomic():
        won = locked(run_ids, {RunState.QUEUED})
        for run in won:
            move(run, RunState.FAILED)
            run.reason, run.finished_at = run.error_code, now
        Run.objects.bulk_update(won, ["state", "reason", "finished_at"])
        tell(won, EventKind.FAILED, now)
    return len(won)


def _too_late(run: Run, now: datetime) -> bool:
    """A first attempt past its expiry is left to recover, which skips it (SPEC A9)."""
    return run.attempt == 1 and run.expires_at is not None and run.expires_at < now
