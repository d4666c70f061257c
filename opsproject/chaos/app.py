"""The Celery app of a cluster under chaos, for `celery -A opsproject.chaos.app`."""

import os
import random
import signal
import time
from typing import Any

from celery import Task

from opsproject.celery import app
from opsproject.chaos.notes import note_alive, noting
from scheduling.fence import HEADER, Fence

__all__ = ["app"]

RANDOM = random.SystemRandom()  # pool processes are forks, and would all draw the same
SLICE_SECONDS = 0.2  # how exactly the length of a killed execution is known


class Noted(Task[Any, Any]):
    """A task each execution of which notes its own start and end."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run between two notes."""
        with noting(self.fence):
            return self.run(*args, **kwargs)

    @property
    def fence(self) -> Fence | None:
        """Which attempt of which run this execution stands for, from its message."""
        return Fence.parse((self.request.headers or {}).get(HEADER))

    def work(self, seconds: float) -> str:
        """Take that long, noting that it goes on; return what the ledger is to keep."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, SLICE_SECONDS))  # the work
            note_alive(self.fence)
        return str(self.fence)


@app.task(name="chaos.works", base=Noted, bind=True)
def works(self: Noted, shortest: float = 0, longest: float = 0) -> str:
    """Succeed after a random while."""
    return self.work(RANDOM.uniform(shortest, longest))


@app.task(name="chaos.short", base=Noted, bind=True, runs_per_message=10)
def short(self: Noted) -> str:
    """Succeed at once; many runs travel in one message and share a process."""
    return self.work(0)


@app.task(name="chaos.fails_first", base=Noted, bind=True)
def fails_first(self: Noted, failures: int) -> str:
    """Fail so many times, then succeed; the job's policy retries."""
    if self.request.retries < failures:
        raise ValueError(f"failure {self.request.retries + 1} of {failures}")
    return self.work(0)


@app.task(
    name="chaos.autoretries", base=Noted, bind=True,
    autoretry_for=(ValueError,), max_retries=3, retry_backoff=1, retry_backoff_max=1,
    retry_jitter=False,
)  # fmt: skip
def autoretries(self: Noted) -> str:
    """Fail once; the task's own declaration retries."""
    if self.request.retries < 1:
        raise ValueError("the first time")
    return self.work(0)


@app.task(name="chaos.asks_for_retry", base=Noted, bind=True, max_retries=3)
def asks_for_retry(self: Noted) -> str:
    """Ask for another attempt once, by the task's own code."""
    if self.request.retries < 1:
        raise self.retry(exc=KeyError("not there yet"), countdown=0.5)
    return self.work(0)


@app.task(name="chaos.raises", base=Noted, bind=True)
def raises(self: Noted) -> None:
    """Fail always, after a moment."""
    self.work(RANDOM.uniform(0, 0.5))
    raise RuntimeError("as ever")


@app.task(name="chaos.dies", base=Noted, bind=True)
def dies(self: Noted) -> str:
    """Take the pool process along, every other time."""
    self.work(RANDOM.uniform(0, 1))
    if RANDOM.choice((True, False)):
        os.kill(os.getpid(), signal.SIGKILL)
    return str(self.fence)
