"""A request that can be told to stop, from another thread, at any point of its life."""

import threading
from collections.abc import Callable
from typing import Any

from celery.worker.request import Request

from scheduling.fence import Fence
from scheduling.worker.outside import OutsideCancel
from scheduling.worker.runtime import runtime
from scheduling.worker.stop import Cause


class StoppableRequest(Request):
    """Knows whether it began, whether it is over, and who tells of its end.

    The death of a process that was stopped is reported twice: by the pool, which frees its slot,
    and by the stopper, which knows that nothing is left. Only behind both is the request settled.
    """

    fenced: bool
    _request_dict: dict[str, Any]
    fences: tuple[Fence, ...]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lock = threading.Lock()
        self.granted_at: float | None = None  # by the monotonic clock
        self.began = False  # handed to the pool
        self.over = False  # came to an end of its own
        self.job: Any = None  # the pool's
        self.outside: OutsideCancel | None = None  # where it is one run alone
        self._told_to_stop = False
        self._stop_recorded = False
        self._finish: Callable[[], None] | None = None

    def begin(self) -> bool:
        """Go on to the pool; False if it was told to stop before."""
        with self.lock:
            self.began = not self._told_to_stop
        return self.began

    def unbegin(self) -> None:
        """The pool has dropped it before any process had it."""
        with self.lock:
            self.began = False

    def end(self) -> None:
        """It came to an end of its own: from now on its process may serve another."""
        with self.lock:
            self.over = True

    def be_stopped(self, *, unless_begun: bool = False) -> bool:
        """From now on nothing of it starts; False if it is over already, or has begun."""
        with self.lock:
            stoppable = not self.over and not (unless_begun and self.began)
            self._told_to_stop = self._told_to_stop or stoppable
        return stoppable

    def is_late(self, monotonic: float) -> bool:
        """Whether it has to be given back; a run alone is the ledger's, which has its deadline."""
        del monotonic
        return False

    def extend_soft_limit(self, seconds: float) -> None:
        """Let it run so much longer than it was given; one of several has no time of its own."""
        del seconds

    def dies_of_stop(self, finish: Callable[[], None]) -> bool:
        """In the event loop: the pool reports a death. True if the stopper tells the ledger."""
        with self.lock:
            if not self._told_to_stop:
                return False
        if self._stop_recorded:
            finish()
        else:
            self._finish = finish
        return True

    def stopped(self, recorded: bool) -> None:  # noqa: FBT001 an Answer
        """In the recorder's thread: nothing is left of it, and the ledger knows."""
        del recorded
        runtime.look_after_chain(self._request_dict)
        runtime.mailbox.post(self._after_stop)

    def _after_stop(self) -> None:
        self._stop_recorded = True
        finish, self._finish = self._finish, None  # once, though each run of a message comes here
        if finish is not None:
            finish()

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Take `control.revoke(terminate=True)`, Flower's button, as a cancel of the run."""
        if self.fenced:
            self._wish(Cause.LEDGER)
        else:
            super().terminate(pool, signal)

    def cancel(self, pool: Any, signal: Any = None, emit_retry: bool = True) -> None:  # noqa: FBT001, FBT002 Celery's signature
        """At a cold shutdown: give the run back."""
        if self.fenced:
            self._wish(Cause.RELEASE)
        else:
            super().cancel(pool, signal, emit_retry)

    def _wish(self, cause: Cause) -> None:
        for fence in self.fences:
            runtime.stopper.wish(fence, cause)
