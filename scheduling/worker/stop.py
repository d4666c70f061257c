"""One attempt that is told to stop: asked politely, then killed, and gone only when all is gone."""

import os
import signal
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from scheduling.worker import processes
from scheduling.worker.outside import OutsideCancel
from scheduling.worker.runtime import runtime


class Cause(Enum):
    """Why an attempt is stopped, which says what the ledger is to hear of its end."""

    LEDGER = auto()  # the run is `stopping`: cancelled, or past its deadline
    RELEASE = auto()  # this worker is stopped: the run goes back, uncharged
    YIELD = auto()  # it has not begun, and no process is free: another worker may have one
    BATCH = auto()  # one of the runs of its message does not end: all go back, uncharged, and alone
    SUPERSEDED = auto()  # the run was given away: nobody waits for this attempt


BATCH_ENDED = "batch_ended"

# Between SIGTERM, which lets `finally` blocks run, and SIGKILL. Who stops a worker waits for all.
GRACE_SECONDS = {
    Cause.LEDGER: 5.0,
    Cause.RELEASE: 2.0,
    Cause.YIELD: 5.0,
    Cause.BATCH: 5.0,
    Cause.SUPERSEDED: 5.0,
}


class Progress(Enum):
    """How far a stop has come."""

    PRESSING = auto()
    GONE = auto()  # nothing of the attempt is left
    OVER = auto()  # the attempt ended by itself, and was reported


@dataclass
class Stop:
    """Presses on until the process, and what it has started in its group, is gone."""

    request: Any
    cause: Cause
    told_at: float | None = None

    def press(self, monotonic: float) -> Progress:
        """Do what is due now.

        The lock keeps the process from being handed the next task between look and signal.
        """
        with self.request.lock:
            if self.request.over:
                return Progress.OVER
            if not self.request.began:
                return Progress.GONE
            pid: int | None = self.request.worker_pid
            if pid is None:
                return Progress.PRESSING  # handed to the pool, and not yet taken by a process
            if _is_dead(pid):
                return _sweep(pid)
            if not self._waits_for_outside():
                self._signal(pid, monotonic)
        return Progress.PRESSING

    def _waits_for_outside(self) -> bool:
        """What the task drives elsewhere is told first, where the run is to end for good."""
        outside: OutsideCancel | None = self.request.outside
        if outside is None or self.cause is not Cause.LEDGER:
            return False
        outside.begin()
        return outside.is_waited_for

    def _signal(self, pid: int, monotonic: float) -> None:
        if self.told_at is None:
            self.told_at = monotonic
            runtime.expect_termination(pid)
            processes.signal_group(pid, signal.SIGTERM)
        elif monotonic - self.told_at >= GRACE_SECONDS[self.cause]:
            processes.signal_group(pid, signal.SIGKILL)


def _sweep(group: int) -> Progress:
    """Kill what a dead leader left in its group; gone when none of it lives."""
    if not processes.members(group):
        return Progress.GONE
    processes.signal_group(group, signal.SIGKILL)
    return Progress.PRESSING


def _is_dead(pid: int) -> bool:
    """Look without reaping: that is the pool's part, and until then the id is not used again."""
    try:
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return ended is not None
