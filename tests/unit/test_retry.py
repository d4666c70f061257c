"""Whether and when a failed attempt is followed by another."""

from datetime import timedelta

import pytest

from scheduling.retry import (
    RetryPolicy,
    RetryWish,
    retry_after,
    wait_after_loss,
    worth_another_after_loss,
)

MINUTE = timedelta(seconds=60)
WISH = RetryWish(countdown=timedelta(seconds=7))


@pytest.mark.parametrize(("failed", "minutes"), [(1, 1), (2, 2), (3, 4)])
def test_the_wait_doubles(failed: int, minutes: int) -> None:
    policy = RetryPolicy(max_retries=3, base=MINUTE)
    assert retry_after(policy, None, failed=failed) == minutes * MINUTE


def test_the_linear_wait_grows_by_the_base() -> None:
    assert RetryPolicy(base=MINUTE, linear=True).wait(3) == 3 * MINUTE


def test_the_wait_is_capped_after_any_number_of_failures() -> None:
    policy = RetryPolicy(base=MINUTE, cap=timedelta(minutes=5))
    assert policy.wait(4) == policy.wait(10_000) == timedelta(minutes=5)


def test_a_base_of_zero_retries_at_once() -> None:
    assert RetryPolicy(base=timedelta(0)).wait(50) == timedelta(0)


def test_no_retry_after_the_jobs_own_limit() -> None:
    assert retry_after(RetryPolicy(max_retries=2), WISH, failed=3) is None


def test_a_jobs_limit_of_zero_overrules_the_tasks_wish() -> None:
    assert retry_after(RetryPolicy(max_retries=0), WISH, failed=1) is None


def test_without_a_policy_only_the_task_decides() -> None:
    assert retry_after(RetryPolicy(), None, failed=1) is None
    assert retry_after(RetryPolicy(), WISH, failed=1) == WISH.countdown


def test_the_jobs_base_overrules_the_tasks_countdown() -> None:
    assert retry_after(RetryPolicy(base=MINUTE), WISH, failed=1) == MINUTE


def test_an_error_that_waiting_cannot_mend_is_not_retried() -> None:
    assert retry_after(RetryPolicy(max_retries=9), WISH, failed=1, retryable=False) is None


@pytest.mark.parametrize(("draw", "seconds"), [(0.0, 30), (0.5, 45), (1.0, 60)])
def test_with_jitter_the_wait_lies_between_half_of_it_and_all(draw: float, seconds: int) -> None:
    policy = RetryPolicy(max_retries=1, base=MINUTE, jitter=True)
    assert retry_after(policy, None, failed=1, draw=draw) == timedelta(seconds=seconds)


def test_without_jitter_the_draw_makes_no_difference() -> None:
    assert RetryPolicy(base=MINUTE).wait(1, draw=0.0) == MINUTE


def test_the_first_loss_is_made_good_at_once_and_later_ones_wait() -> None:
    policy = RetryPolicy(max_retries=3, base=MINUTE)
    waits = [wait_after_loss(policy, lost=lost) for lost in (1, 2, 3)]
    assert waits == [timedelta(0), MINUTE, 2 * MINUTE]


def test_a_lost_worker_is_worth_one_more_attempt_even_without_retries() -> None:
    assert worth_another_after_loss(RetryPolicy(max_retries=0), lost=1)
    assert not worth_another_after_loss(RetryPolicy(max_retries=0), lost=2)
