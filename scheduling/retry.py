"""Whether a failed attempt is followed by another, and when.

The job's policy decides first, then what the task declares (SPEC A15).
"""

from dataclasses import dataclass
from datetime import timedelta

DEFAULT_BASE = timedelta(seconds=60)
DEFAULT_CAP = timedelta(hours=1)
LOST_WORTH_ONE_MORE = 1


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """A run's own policy; a None field leaves that point to the task."""

    max_retries: int | None = None
    base: timedelta | None = None
    cap: timedelta | None = None
    linear: bool = False
    jitter: bool = False

    def wait(self, failed: int, *, draw: float = 1.0) -> timedelta:
        """Return the wait after `failed` failed attempts (1 or more).

        With jitter it lies between half of what the policy says and all of it, by `draw` (0 to 1),
        so that what failed together is not tried again together.
        """
        share = (1 + draw) / 2 if self.jitter else 1.0
        return self._whole_wait(failed) * share

    def _whole_wait(self, failed: int) -> timedelta:
        base = DEFAULT_BASE if self.base is None else self.base
        cap = DEFAULT_CAP if self.cap is None else self.cap
        # 2**40 of anything is past every cap; the bound keeps the product a valid timedelta.
        factor = failed if self.linear else 2 ** min(failed - 1, 40)
        return cap if base and factor > cap / base else base * factor


@dataclass(frozen=True, kw_only=True)
class RetryWish:
    """What the task itself asked for by `self.retry` or autoretry, with its own wait."""

    countdown: timedelta


def retry_after(
    policy: RetryPolicy,
    wish: RetryWish | None,
    *,
    failed: int,
    retryable: bool = True,
    draw: float = 1.0,
) -> timedelta | None:
    """Return how long to wait for the next attempt, or None if there is none.

    `failed` counts the failed attempts, this one included. A wish is already within the task's
    own limit: Celery raises the error itself once that is used up.
    """
    if not retryable:
        return None
    if policy.max_retries is not None:
        if failed > policy.max_retries:
            return None
    elif wish is None:
        return None
    if policy.base is None and wish is not None:
        return wish.countdown
    return policy.wait(failed, draw=draw)


def worth_another_after_loss(policy: RetryPolicy, *, lost: int) -> bool:
    """Say whether a run whose worker or process vanished for the `lost`-th time is tried again."""
    return lost <= max(LOST_WORTH_ONE_MORE, policy.max_retries or 0)


def wait_after_loss(policy: RetryPolicy, *, lost: int) -> timedelta:
    """Return how long to wait then: not the first time, and later on as after failures.

    So a task that kills its process each time does not do it in a row.
    """
    return timedelta(0) if lost <= LOST_WORTH_ONE_MORE else policy.wait(lost - LOST_WORTH_ONE_MORE)
