"""How far ahead this worker takes short work, so that no process waits for a commit.

A start is asked for when its message arrives, not when a process is free; with the prefetch count
that an operator sets for long tasks a process would then still idle for two commits a run. While
tasks are short the window grows to a fraction of a second's work; a long one closes it, and what
was taken ahead of it goes back. RabbitMQ's quorum queues take no new prefetch count for a running
consumer: there the operator's holds (DESIGN rule 5).
"""

import math
import time
from dataclasses import dataclass
from typing import Any

from celery.worker import state

from scheduling.worker.runtime import runtime
from scheduling.worker.stop import Cause

AHEAD_SECONDS = 0.2
LONG_SECONDS = 0.5  # a task that runs for this long closes the window
WIDEST = 64  # messages a process
LOOK_EVERY_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 1.0  # granted, and no process free: another worker may have one


class Window:
    """Lives in the event loop's thread; one for each life of the consumer."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._extra = 0
        self._ended = self._ended_before = _Ended()
        consumer.timer.call_repeatedly(LOOK_EVERY_SECONDS, self.look)

    def note_end(self, seconds: float) -> None:
        """Take how long a task ran; the first ones of a burst open the window at once."""
        self._ended = self._ended.and_one(seconds)
        if seconds >= LONG_SECONDS or self._ended.tasks == self._processes:
            self._set(self._wanted())

    def look(self) -> None:
        """Judge by what ran since the last look, and by what runs now."""
        self._set(0 if self._runs_long() else self._wanted())
        self._ended_before, self._ended = self._ended, _Ended()
        self._give_back()

    @property
    def _processes(self) -> int:
        return int(self._consumer.pool.num_processes)

    def _wanted(self) -> int:
        """Return how many messages beyond the operator's count the tasks of late allow."""
        lately = self._ended + self._ended_before
        if not lately.tasks or lately.longest >= LONG_SECONDS:
            return 0
        mean = max(lately.seconds / lately.tasks, AHEAD_SECONDS / WIDEST)
        return self._processes * math.ceil(AHEAD_SECONDS / mean)

    def _set(self, extra: int) -> None:
        """The event loop tells the broker before its next turn."""
        qos = self._consumer.qos
        if extra > self._extra:
            qos.increment_eventually(extra - self._extra)
        elif extra < self._extra:
            qos.decrement_eventually(self._extra - extra)
        self._extra = extra

    @staticmethod
    def _runs_long() -> bool:
        now = time.time()
        return any(
            request.time_start and now - request.time_start > LONG_SECONDS
            for request in state.active_requests
        )

    @staticmethod
    def _give_back() -> None:
        """What was granted and found no process in time goes back, uncharged."""
        too_long_ago = time.monotonic() - LONGEST_WAIT_SECONDS
        for fence, request in runtime.attempts:
            granted_at = request.granted_at
            if granted_at is not None and not request.began and granted_at < too_long_ago:
                runtime.stopper.wish(fence, Cause.YIELD)


@dataclass(frozen=True)
class _Ended:
    """Tasks that ended between two looks."""

    tasks: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    def and_one(self, seconds: float) -> "_Ended":
        return self + _Ended(1, seconds, seconds)

    def __add__(self, other: "_Ended") -> "_Ended":
        return _Ended(
            self.tasks + other.tasks,
            self.seconds + other.seconds,
            max(self.longest, other.longest),
        )
