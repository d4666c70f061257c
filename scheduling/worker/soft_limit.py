"""A soft limit that a pool process keeps by itself, with a timer of its own.

Billiard's is armed by the parent, once a message, and told by SIGUSR1; a message of several runs
needs one for each.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from billiard.pool import soft_timeout_sighandler


@contextmanager
def limited_softly(seconds: float | None) -> Iterator[None]:
    """Raise SoftTimeLimitExceeded in what runs for longer than this; None is no limit."""
    if seconds is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, soft_timeout_sighandler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
