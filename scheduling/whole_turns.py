"""Lets a beat finish its turn before SIGTERM or Ctrl-C ends it.

Celery's own handler raises SystemExit wherever the process just is: between a message to a worker
that knows no ledger and the note that it went, too.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any


class WholeTurns:
    """What a signal meets: a turn, which it lets end, or a sleep. A second one does not wait."""

    def __init__(self) -> None:
        self._in_turn = False
        self._told_to_stop = False

    def guard_signals(self) -> None:
        """Stand in front of the handlers of the main thread, the only one that has any."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, partial(self._handle, signal.getsignal(number)))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Raise SystemExit at the end of what is within, if a signal came meanwhile."""
        self._in_turn = True
        try:
            yield
        finally:
            self._in_turn = False
        if self._told_to_stop:
            raise SystemExit

    def _handle(
        self, before: Callable[..., Any] | int | None, number: int, frame: FrameType | None
    ) -> None:
        if self._in_turn and not self._told_to_stop:
            self._told_to_stop = True
        elif callable(before):
            before(number, frame)
        else:
            raise SystemExit
