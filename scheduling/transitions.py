"""The only writer of a run's state.

Every function takes a batch, locks its rows in the order of their ids, keeps those whose state and
attempt are still what the caller believes, writes, and returns what it won. Losing is normal: it
means that somebody else was first. Lock order: job, runs by id, job status.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from uuid_utils.compat import uuid7

from scheduling.ending import Ending
from scheduling.errors import IllegalTransition
from scheduling.fence import Fence
from scheduling.job_status import note_on_jobs
from scheduling.models import Attempt, Run, RunEvent, WorkerProcess
from scheduling.models.event import EventKind
from scheduling.models.job import BackoffKind
from scheduling.retry import RetryPolicy, retry_after, worth_another_after_loss
from scheduling.states import TRANSITIONS, Outcome, RunState, SkipReason

UNKNOWN_TASK = "UnknownTask"
STARTED_FIELDS = [
    "state", "reason", "error", "error_code", "started_at", "worker", "deadline_at",
]  # fmt: skip
HARD_LIMIT_MARGIN = timedelta(seconds=30)  # SPEC A16: hard limit = the run's timeout + 30 s


def open_runs(runs: Sequence[Run]) -> None:
    """Insert new runs; the unique (job, tick) refuses a second run of a tick."""
    Run.objects.bulk_create(runs, batch_size=500)


def make_ready(run_ids: Collection[UUID], *, now: datetime) -> int:
    """Pending runs that wait for nothing any more become ready; return how many."""
    with transaction.atomic():
        won = _locked(run_ids, {RunState.PENDING})
        for run in won:
            _move(run, RunState.READY)
            run.ready_at = run.ready_at or now
            run.next_attempt_at = None
        Run.objects.bulk_update(won, ["state", "ready_at", "next_attempt_at"])
    return len(won)


def claim(runs: Sequence[Run], *, now: datetime) -> None:
    """Give each run its next attempt and a slot. The caller holds the locks of job and runs."""
    for run in runs:
        _move(run, RunState.QUEUED)
        run.attempt += 1
        run.attempt_id = uuid7()
        run.queued_at = now
        run.published_at = None
        run.publish_count = 0
    Run.objects.bulk_update(
        runs,
        ["state", "attempt", "attempt_id", "queued_at", "published_at", "publish_count"],
        batch_size=200,
    )


def start(fences: Collection[Fence], *, worker_id: UUID, now: datetime) -> set[Fence]:
    """Grant the starts that the ledger still expects; any other is a duplicate or too late.

    A worker that was given up gets nothing: its runs would be taken from it at once.
    """
    with transaction.atomic():
        expected = _locked_by_fence(fences, RunState.QUEUED)
        alive = WorkerProcess.objects.live().filter(id=worker_id).exists()
        won = [run for run in expected if alive and not _too_late(run, now)]
        for run in won:
            _move(run, RunState.RUNNING)
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
        _tell(won, EventKind.STARTED, now)
    return {Fence(run.id, run.attempt) for run in won}


def finish(endings: Collection[Ending], *, now: datetime) -> set[Fence]:
    """Record how running attempts ended: a verdict, or a wait for the next attempt."""
    by_fence = {ending.fence: ending for ending in endings}
    with transaction.atomic():
        won = _locked_by_fence(by_fence, RunState.RUNNING)
        reports = {run.id: by_fence[Fence(run.id, run.attempt)] for run in won}
        for run in won:
            _apply_ending(run, reports[run.id], now)
        _save_ended(won, reports, now)
    return {Fence(run.id, run.attempt) for run in won}


def lose(run_ids: Collection[UUID], *, now: datetime) -> int:
    """Take runs from a worker that vanished: another attempt, or failed; return how many."""
    with transaction.atomic():
        won = _locked(run_ids, {RunState.RUNNING})
        reports = {run.id: _loss_of(run) for run in won}
        for run in won:
            _apply_loss(run, reports[run.id], now)
        _save_ended(won, reports, now)
    return len(won)


def note_unknown_task(fences: Collection[Fence], *, error: str) -> set[Fence]:
    """Say on queued runs why a worker could not start them; their state stays as it is."""
    with transaction.atomic():
        won = _locked_by_fence(fences, RunState.QUEUED)
        Run.objects.filter(id__in=[run.id for run in won]).update(
            error=error, error_code=UNKNOWN_TASK
        )
    return {Fence(run.id, run.attempt) for run in won}


def fail_unstarted(run_ids: Collection[UUID], *, now: datetime) -> int:
    """End queued runs that no worker can start, with the reason that is noted on them."""
    with transaction.atomic():
        won = _locked(run_ids, {RunState.QUEUED})
        for run in won:
            _move(run, RunState.FAILED)
            run.reason, run.finished_at = run.error_code, now
        Run.objects.bulk_update(won, ["state", "reason", "finished_at"])
        _tell(won, EventKind.FAILED, now)
    return len(won)


def release(run_ids: Collection[UUID], *, now: datetime) -> int:
    """Give back, uncharged, what a stopped worker left undone; return how many (SPEC A17)."""
    with transaction.atomic():
        won = _locked(run_ids, {RunState.RUNNING})
        for run in won:
            _move(run, RunState.READY)
            run.reason, run.deadline_at = "worker_stopped", None
        Run.objects.bulk_update(won, ["state", "reason", "deadline_at"])
        Attempt.objects.filter(id__in=[run.attempt_id for run in won]).update(
            finished_at=now, outcome=Outcome.RELEASED
        )
    return len(won)


def skip(run_ids: Collection[UUID], reason: SkipReason, *, now: datetime) -> int:
    """End runs that have not started, with the reason; return how many were still waiting."""
    with transaction.atomic():
        won = _locked(run_ids, {RunState.PENDING, RunState.READY, RunState.QUEUED})
        for run in won:
            _move(run, RunState.SKIPPED)
            run.reason = reason
            run.finished_at = now
        Run.objects.bulk_update(won, ["state", "reason", "finished_at"])
    return len(won)


def _locked(run_ids: Collection[UUID], states: set[RunState]) -> list[Run]:
    """Lock first, in id order, then look: what is selected is what was won."""
    return list(
        Run.objects.select_for_update().filter(id__in=run_ids, state__in=states).order_by("id")
    )


def _locked_by_fence(fences: Iterable[Fence], state: RunState) -> list[Run]:
    expected = {fence.run_id: fence.attempt for fence in fences}
    return [run for run in _locked(expected, {state}) if run.attempt == expected[run.id]]


def _move(run: Run, state: RunState) -> None:
    """Take one step of the state machine; a step that it does not know is a defect of ours."""
    if state not in TRANSITIONS[RunState(run.state)]:
        raise IllegalTransition(run.state, state)
    run.state = state


def _too_late(run: Run, now: datetime) -> bool:
    """A first attempt past its expiry is left to recover, which skips it (SPEC A9)."""
    return run.attempt == 1 and run.expires_at is not None and run.expires_at < now


def policy_of(run: Run) -> RetryPolicy:
    """Return the retry policy that the run carries."""
    return RetryPolicy(
        max_retries=run.max_retries,
        base=run.retry_base,
        cap=run.retry_cap,
        linear=run.retry_backoff == BackoffKind.LINEAR,
    )


def _apply_ending(run: Run, ending: Ending, now: datetime) -> None:
    run.error, run.error_code = ending.error, ending.error_code
    if ending.outcome is Outcome.DONE:
        _move(run, RunState.DONE)
        run.reason, run.result, run.finished_at = "", ending.result, now
        return
    run.retry_count += 1
    wait = retry_after(
        policy_of(run), ending.wish, failed=run.retry_count, retryable=ending.retryable
    )
    if wait is None:
        _move(run, RunState(ending.outcome.value))
        run.reason = ending.error_code
        run.finished_at = now
    else:
        _wait_for_retry(run, now + wait, reason="retry")


def _loss_of(run: Run) -> Ending:
    return Ending(
        fence=Fence(run.id, run.attempt),
        outcome=Outcome.LOST,
        error="the worker vanished while it ran this attempt",
        error_code="WorkerLost",
    )


def _apply_loss(run: Run, ending: Ending, now: datetime) -> None:
    run.lost_count += 1
    run.error, run.error_code = ending.error, ending.error_code
    if worth_another_after_loss(policy_of(run), lost=run.lost_count):
        _wait_for_retry(run, now, reason="worker_lost")
    else:
        _move(run, RunState.FAILED)
        run.reason, run.finished_at = "worker_lost", now


def _wait_for_retry(run: Run, at: datetime, *, reason: str) -> None:
    _move(run, RunState.PENDING)
    run.reason, run.next_attempt_at = reason, at
    run.deadline_at = None


ENDED_FIELDS = [
    "state", "reason", "result", "error", "error_code", "retry_count", "lost_count",
    "next_attempt_at", "deadline_at", "finished_at",
]  # fmt: skip

EVENT_OF_STATE = {
    RunState.PENDING: EventKind.RETRYING,
    RunState.DONE: EventKind.COMPLETED,
    RunState.FAILED: EventKind.FAILED,
    RunState.TIMEOUT: EventKind.TIMEOUT,
    RunState.CANCELLED: EventKind.CANCELLED,
}


def _save_ended(runs: list[Run], reports: Mapping[UUID, Ending], now: datetime) -> None:
    Run.objects.bulk_update(runs, ENDED_FIELDS)
    attempts = list(Attempt.objects.filter(id__in=[run.attempt_id for run in runs]))
    for attempt in attempts:
        report = reports[attempt.run_id]
        attempt.finished_at, attempt.outcome = now, report.outcome
        attempt.error, attempt.error_code = report.error, report.error_code
    Attempt.objects.bulk_update(attempts, ["finished_at", "outcome", "error", "error_code"])
    for state, kind in EVENT_OF_STATE.items():
        _tell([run for run in runs if run.state == state], kind, now)
    note_on_jobs(runs, reports, now)


def _tell(runs: list[Run], kind: EventKind, now: datetime) -> None:
    RunEvent.objects.bulk_create(
        RunEvent(scope=run.scope, kind=kind, run=run, attempt=run.attempt, at=now) for run in runs
    )
