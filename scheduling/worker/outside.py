"""Cancels what a task drives outside of its process, before that is stopped (SPEC A18).

A task names a callable for it where it is declared, `cancel="sessions.end"` or the function. It is
called in the worker's parent, once an attempt, on cancel and timeout, and has a few seconds: the
process is stopped in any case.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from django.db import connection
from django.utils.module_loading import import_string

from scheduling.fence import Fence

logger = logging.getLogger(__name__)

DECLARATION = "cancel"
LONGEST_SECONDS = 5.0


class OutsideCancel:
    """One call of a task's `cancel`, with the run's id, its attempt and what the task was given."""

    @classmethod
    def of(
        cls, task: Any, fence: Fence, args: Sequence[Any], params: Mapping[str, Any]
    ) -> Self | None:
        """Return it for a task that declares one; None for all others."""
        # From the class: a function would come as a method of the task, and get that first.
        named = getattr(type(task), DECLARATION, None)
        return None if named is None else cls(named, fence, args, params)

    def __init__(
        self, named: Any, fence: Fence, args: Sequence[Any], params: Mapping[str, Any]
    ) -> None:
        self._named = named
        self._arguments = {
            "run_id": str(fence.run_id),
            "attempt": fence.attempt,
            "args": list(args),
            "params": dict(params),
        }
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._began_at = 0.0

    def begin(self) -> None:
        """Call it, in a thread of its own, unless that was done before."""
        with self._lock:
            if self._thread is not None:
                return
            self._began_at = time.monotonic()
            self._thread = threading.Thread(target=self._call, name="ops-outside", daemon=True)
            self._thread.start()

    @property
    def is_waited_for(self) -> bool:
        """Whether it is under way, and has not taken too long."""
        thread = self._thread
        late = time.monotonic() - self._began_at > LONGEST_SECONDS
        return thread is not None and thread.is_alive() and not late

    def _call(self) -> None:
        told = {"run_id": self._arguments["run_id"]}
        try:
            named = self._named
            function: Callable[..., object] = (
                import_string(named) if isinstance(named, str) else named
            )
            function(**self._arguments)
            logger.info("outside_cancelled", extra=told)
        except Exception:
            logger.exception("outside_cancel_failed", extra=told)
        finally:
            connection.close()
