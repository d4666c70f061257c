"""Carries calls from other threads into the worker's event loop, and wakes it."""

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Call = Callable[[], None]


class Mailbox:
    """Thread-safe: anyone may post, the event loop's thread makes the calls in order.

    Without an event loop (gevent, threads, solo pools) the posting thread makes the call itself.
    """

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self._hub: Any = None
        self._pipe: tuple[int, int] | None = None
        self._woken = False  # the loop will look: a call behind others costs no write of its own

    @property
    def has_loop(self) -> bool:
        """Whether there is an event loop that must not be blocked."""
        return self._hub is not None

    def attach(self, hub: Any) -> None:
        """Deliver through this hub from now on; the hub forgets its readers at each reconnect."""
        self._hub = hub
        if hub is None:
            return
        if self._pipe is None:
            self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        hub.add_reader(self._pipe[0], self._deliver)
        self.wake()

    def post(self, call: Call) -> None:
        """Have `call` made by the event loop's thread, soon."""
        if self._hub is None:
            call()
            return
        self._calls.append(call)
        if not self._woken:
            self._woken = True
            self.wake()

    def wake(self) -> None:
        """Have the event loop look at once."""
        if self._pipe is not None:
            with suppress(BlockingIOError):  # the pipe is full of wake-ups already
                os.write(self._pipe[1], b"!")

    def _deliver(self) -> None:
        if self._pipe is not None:
            with suppress(BlockingIOError):
                os.read(self._pipe[0], 65_536)
        self._woken = False  # before the calls are taken: whoever posts from now on wakes again
        while self._calls:
            self._calls.popleft()()
