"""Running attempts end: a verdict, a wait for the next attempt, or back uncharged."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from scheduling.ending import Ending
from scheduling.fence import Fence
from scheduling.job_status import note_on_jobs
from scheduling.models import Attempt, Run
from scheduling.models.event import EventKind
from scheduling.models.job import BackoffKind
from scheduling.retry import RetryPolicy, retry_after, worth_another_after_loss
from scheduling.states import Outcome, RunState
from scheduling.transitions.rows import locked, locked_by_fence, move, tell

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


def finish(endings: Collection[Ending], *, now: datetime) -> set[Fence]:
    """Record how running attempts ended: a verdict, or a wait for the next attempt."""
    by_fence = {ending.fence: ending for ending in endings}
    with transaction.atomic():
        won = locked_by_fence(by_fence, RunState.RUNNING)
        reports = {run.id: by_fence[Fence(run.id, run.attempt)] for run in won}
        for run in won:
            _apply_ending(run, reports[run.id], now)
        _save_ended(won, reports, now)
    return {Fence(run.id, run.attempt) for run in won}


def lose(run_ids: Collection[UUID], *, now: datetime) -> int:
    """Take runs from a worker that vanished: another attempt, or failed; return how many."""
    with transaction.atomic():
        won = locked(run_ids, {RunState.RUNNING})
        reports = {run.id: _loss_of(run) for run in won}
        for run in won:
            _apply_loss(run, reports[run.id], now)
        _save_ended(won, reports, now)
    return len(won)


def release(run_ids: Collection[UUID], *, now: datetime) -> int:
    """Give back, uncharged, what a stopped worker left undone; return how many (SPEC A17)."""
    with transaction.atomic():
        won = locked(run_ids, {RunState.RUNNING})
        for run in won:
            move(run, RunState.READY)
            run.reason, run.deadline_at = "worker_stopped", None
        Run.objects.bulk_update(won, ["state", "reason", "deadline_at"])
        Attempt.objects.filter(id__in=[run.attempt_id for run in won]).update(
            finished_at=now, outcome=Outcome.RELEASED
        )
    return len(won)


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
        move(run, RunState.DONE)
        run.reason, run.result, run.finished_at = "", ending.result, now
        return
    run.retry_count += 1
    wait = retry_after(
        policy_of(run), ending.wish, failed=run.retry_count, retryable=ending.retryable
    )
    if wait is None:
        move(run, RunState(ending.outcome.value))
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
        move(run, RunState.FAILED)
        run.reason, run.finished_at = "worker_lost", now


def _wait_for_retry(run: Run, at: datetime, *, reason: str) -> None:
    move(run, RunState.PENDING)
    run.reason, run.next_attempt_at = reason, at
    run.deadline_at = None


def _save_ended(runs: list[Run], reports: Mapping[UUID, Ending], now: datetime) -> None:
    Run.objects.bulk_update(runs, ENDED_FIELDS)
    attempts = list(Attempt.objects.filter(id__in=[run.attempt_id for run in runs]))
    for attempt in attempts:
        report = reports[attempt.run_id]
        attempt.finished_at, attempt.outcome = now, report.outcome
        attempt.error, attempt.error_code = report.error, report.error_code
    Attempt.objects.bulk_update(attempts, ["finished_at", "outcome", "error", "error_code"])
    for state, kind in EVENT_OF_STATE.items():
        tell([run for run in runs if run.state == state], kind, now)
    note_on_jobs(runs, reports, now)
