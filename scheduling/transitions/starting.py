"""Queued runs start behind the fence, or fail because no worker can start them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from scheduling.bulk import insert_rows, update_rows
from scheduling.ending import CANNOT_STOP, Ending
from scheduling.fence import Fence
from scheduling.models import Attempt, Run, WorkerProcess
from scheduling.models.event import EventKind
from scheduling.models.job import Reporting
from scheduling.states import Outcome, RunState
from scheduling.transitions.job_status import note_on_jobs
from scheduling.transitions.noticing import leave_notices
from scheduling.transitions.noting import BEFORE_THE_START
from scheduling.transitions.rows import locked, locked_by_fence, move, tell

HARD_LIMIT_MARGIN = timedelta(seconds=30)  # SPEC A16: hard limit = the run's timeout + 30 s
STARTED_FIELDS = [
    "state", "reason", "error", "error_code", "started_at", "worker", "deadline_at",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What its message and its task say of a start that is asked for."""

    attempt_id: UUID | None = None
    limit: timedelta | None = None  # the task's hard limit, for a run without a timeout of its own
    together: int = 1  # runs in the message, told of together at its end: each may take as long

    def are_of(self, run: Run) -> bool:
        """Whether the message is of the run's present attempt, not of a link edited since."""
        return self.attempt_id is None or self.attempt_id == run.attempt_id

    def time_for(self, run: Run) -> timedelta | None:
        """How long after the start of the whole message the run may last; None is for ever."""
        if run.timeout:
            return run.timeout * self.together + HARD_LIMIT_MARGIN
        return None if self.limit is None else self.limit * self.together


ANY = Terms()


def start(
    fences: Collection[Fence],
    *,
    worker_id: UUID,
    now: datetime,
    terms: Mapping[Fence, Terms] | None = None,
    in_doubt: bool = False,
) -> set[Fence]:
    """Grant the starts that the ledger still expects; any other is a duplicate or too late.

    A worker that was given up gets nothing: its runs would be taken from it at once. `in_doubt`
    says that the same worker asked before and was never answered: what it won then is its own.
    """
    terms = terms or {}
    with transaction.atomic():
        worker = WorkerProcess.objects.live().filter(id=worker_id).first()
        if worker is None:
            return set()
        known = locked_by_fence(fences, RunState.QUEUED, RunState.RUNNING)
        known = [run for run in known if terms.get(run.fence, ANY).are_of(run)]
        queued = [run for run in known if run.state == RunState.QUEUED]
        won = [run for run in queued if not _too_late(run, now) and _can_bound(worker, run)]
        _refuse_unbounded([run for run in queued if not _can_bound(worker, run)])
        for run in won:
            _begin(run, worker, terms.get(run.fence, ANY).time_for(run), now)
        _write_started(won, now)
        if in_doubt:
            won += [r for r in known if r.state == RunState.RUNNING and r.worker_id == worker_id]
    return {run.fence for run in won}


def start_reported(fence: Fence, *, reporter: str, now: datetime) -> Run | None:
    """Grant the start that a foreign worker reports, or None; he may ask twice for his own."""
    with transaction.atomic():
        (run,) = locked_by_fence([fence], RunState.QUEUED, RunState.RUNNING) or (None,)
        if run is None or run.reporting != Reporting.FULL:
            return None
        if run.state == RunState.RUNNING:
            own = Attempt.objects.filter(run=run, number=run.attempt, reporter=reporter)
            return run if own.exists() else None
        if _too_late(run, now):
            return None
        _begin(run, None, ANY.time_for(run), now)
        _write_started([run], now, reporter=reporter)
    return run


def _begin(run: Run, worker: WorkerProcess | None, limit: timedelta | None, now: datetime) -> None:
    move(run, RunState.RUNNING)
    run.reason = ""
    if run.error_code in BEFORE_THE_START:
        run.error = run.error_code = ""
    run.started_at, run.worker = now, worker
    run.deadline_at = now + limit if limit is not None else None


def _write_started(runs: list[Run], now: datetime, *, reporter: str = "") -> None:
    update_rows(runs, STARTED_FIELDS)
    insert_rows(
        [
            Attempt(
                id=run.attempt_id or uuid7(),
                run_id=run.pk,
                number=run.attempt,
                worker_id=run.worker_id,
                started_at=now,
                reporter=reporter,
            )
            for run in runs
        ]
    )
    tell(runs, EventKind.STARTED, now)


def _can_bound(worker: WorkerProcess, run: Run) -> bool:
    """A timeout is a promise that only a pool of processes can keep (DESIGN rule 7)."""
    return worker.can_stop or run.timeout is None


def _refuse_unbounded(runs: list[Run]) -> None:
    Run.objects.filter(id__in=[run.id for run in runs]).update(
        error="no worker that took it can stop it at its timeout: use the prefork pool, "
        "or empty the job's timeout",
        error_code=CANNOT_STOP,
    )


def fail_unstarted(run_ids: Collection[UUID], *, now: datetime) -> int:
    """End queued runs that no worker can start, with the reason that is noted on them."""
    with transaction.atomic():
        won = locked(run_ids, {RunState.QUEUED})
        for run in won:
            move(run, RunState.FAILED)
            run.reason, run.finished_at = run.error_code, now
        update_rows(won, ["state", "reason", "finished_at"])
        tell(won, EventKind.FAILED, now)
        leave_notices(won, now)
        note_on_jobs(won, {run.id: _refusal(run) for run in won}, now)
    return len(won)


def _refusal(run: Run) -> Ending:
    return Ending(
        fence=run.fence, outcome=Outcome.FAILED, error=run.error, error_code=run.error_code
    )


def _too_late(run: Run, now: datetime) -> bool:
    """A first attempt past its expiry is left to recover, which skips it (SPEC A9)."""
    return run.attempt == 1 and run.expires_at is not None and run.expires_at < now
