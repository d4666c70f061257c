"""What the end of an attempt makes of its run; changes the object, writes nothing."""

import random
from datetime import datetime

from scheduling.ending import PROCESS_LOST, Ending
from scheduling.models import Run
from scheduling.models.values import BackoffKind
from scheduling.retry import (
    RetryPolicy,
    retry_after,
    wait_after_loss,
    worth_another_after_loss,
)
from scheduling.states import Outcome, RunState
from scheduling.transitions.rows import move


def policy_of(run: Run) -> RetryPolicy:
    """Return the retry policy that the run carries."""
    return RetryPolicy(
        max_retries=run.max_retries,
        base=run.retry_base,
        cap=run.retry_cap,
        linear=run.retry_backoff == BackoffKind.LINEAR,
        jitter=run.retry_jitter,
    )


def apply_ending(run: Run, ending: Ending, now: datetime) -> None:
    """Move the run to its verdict, or back to wait for the next attempt."""
    run.deadline_at = None
    run.result, run.error, run.error_code = ending.result, ending.error, ending.error_code
    match ending.outcome:
        case Outcome.DONE:
            _conclude(run, RunState.DONE, now, reason="")
        case Outcome.CANCELLED:
            _conclude(run, RunState.CANCELLED, now, reason=run.reason)
        case Outcome.LOST:
            _apply_loss(run, ending, now)
        case _:
            _apply_failure(run, ending, now)


def loss_of(run: Run) -> Ending:
    """Return the ending of an attempt whose worker vanished."""
    return Ending(
        fence=run.fence,
        outcome=Outcome.LOST,
        error="the worker vanished while it ran this attempt",
        error_code="WorkerLost",
    )


def ending_of_stop(run: Run, outcome: Outcome) -> Ending:
    """Return the ending of an attempt that was told to stop, whatever it did then."""
    if outcome is Outcome.CANCELLED:
        return Ending(fence=run.fence, outcome=outcome)
    return Ending(
        fence=run.fence,
        outcome=outcome,
        error=f"stopped at its deadline, {run.deadline_at:%Y-%m-%d %H:%M:%S} UTC",
        error_code="TimeLimitExceeded",
    )


def _apply_failure(run: Run, ending: Ending, now: datetime) -> None:
    run.retry_count += 1
    wait = retry_after(
        policy_of(run),
        ending.wish,
        failed=run.retry_count,
        retryable=ending.retryable and ending.error_code not in run.non_retryable_codes,
        draw=random.random(),  # noqa: S311 spreads load, guards nothing
    )
    if wait is None:
        _conclude(run, RunState(ending.outcome.value), now, reason=ending.error_code)
    else:
        _wait(run, now + wait, reason="retry")


def _apply_loss(run: Run, ending: Ending, now: datetime) -> None:
    run.lost_count += 1
    reason = "process_lost" if ending.error_code == PROCESS_LOST else "worker_lost"
    policy, code = policy_of(run), ending.error_code
    if code in run.non_retryable_codes or not worth_another_after_loss(policy, lost=run.lost_count):
        _conclude(run, RunState.FAILED, now, reason=reason)
    else:
        _wait(run, now + wait_after_loss(policy, lost=run.lost_count), reason=reason)


def _wait(run: Run, until: datetime, *, reason: str) -> None:
    move(run, RunState.PENDING)
    run.reason, run.next_attempt_at = reason, until


def _conclude(run: Run, state: RunState, now: datetime, *, reason: str) -> None:
    move(run, state)
    run.reason, run.finished_at = reason, now
