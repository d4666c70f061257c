"""What Celery reports of an attempt, as the ledger takes it."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry

from scheduling.ending import Ending
from scheduling.fence import Fence
from scheduling.retry import RetryWish
from scheduling.states import Outcome
from scheduling.worker import endings

FENCE = Fence(uuid4(), 1)
SEVEN: Any = 7  # its stub asks for a Real, which no type checker takes an int for
DECLARED = RetryWish(countdown=timedelta(minutes=3))


def raised(error: BaseException) -> Ending:
    report = SimpleNamespace(exception=error, traceback="")
    return endings.failure(FENCE, report, requeued=DECLARED)


def waits(error: BaseException) -> float | None:
    wish = raised(error).wish
    return None if wish is None else wish.countdown.total_seconds()


def test_a_task_that_is_to_be_ignored_is_done() -> None:
    assert raised(Ignore()) == Ending(fence=FENCE, outcome=Outcome.DONE)


def test_a_retry_with_a_countdown_waits_for_it_and_keeps_its_cause() -> None:
    ending = raised(Retry(exc=KeyError("gone"), when=SEVEN))
    assert (ending.outcome, ending.error_code) == (Outcome.FAILED, "KeyError")
    assert ending.wish == RetryWish(countdown=timedelta(seconds=7))


@pytest.mark.parametrize("zone", [UTC, None])
def test_a_retry_with_an_eta_waits_until_then(zone: timezone | None) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    wait = waits(Retry(exc=KeyError(), when=due.replace(tzinfo=zone)))
    assert wait == pytest.approx(3600, abs=60)


def test_a_retry_whose_eta_has_passed_follows_at_once() -> None:
    assert waits(Retry(when=datetime(2020, 1, 1, tzinfo=UTC))) == 0


def test_a_message_that_is_to_be_requeued_is_a_retry_as_the_task_declares_it() -> None:
    ending = raised(Reject("not mine", requeue=True))
    assert (ending.outcome, ending.error_code, ending.wish) == (Outcome.FAILED, "Reject", DECLARED)


def test_a_message_that_is_rejected_for_good_is_a_failure() -> None:
    assert waits(Reject("broken", requeue=False)) is None


def test_what_a_task_declares_of_retries_is_used_up_some_time() -> None:
    task = SimpleNamespace(max_retries=2, default_retry_delay=180)
    wishes = [endings.declared_retry(task, retries=retries) for retries in (0, 1, 2)]
    assert wishes == [DECLARED, DECLARED, None]
    endless = SimpleNamespace(max_retries=None, default_retry_delay=180)
    assert endings.declared_retry(endless, retries=999) == DECLARED


def test_a_process_that_died_is_lost_and_counts_against_its_job() -> None:
    ending = raised(WorkerLostError("signal 9 (SIGKILL)"))
    assert (ending.outcome, ending.error_code) == (Outcome.LOST, "ProcessLost")
    assert ending.counts_against_job


def test_a_soft_limit_is_a_timeout() -> None:
    assert raised(SoftTimeLimitExceeded()).outcome is Outcome.TIMEOUT
