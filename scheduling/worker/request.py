"""The request of one attempt: executed by the pool, its end recorded before it is acknowledged.

A late result of an attempt that was given away changes nothing (DESIGN rule 4).
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.worker import state

from scheduling.ending import Ending
from scheduling.fence import HEADER, RETRIES_HEADER, Fence, parse_retries
from scheduling.logs import configured_redactor
from scheduling.worker import endings
from scheduling.worker.child import Returned, trace_run
from scheduling.worker.fenced import FencedRequest
from scheduling.worker.outside import OutsideCancel
from scheduling.worker.runtime import runtime

logger = logging.getLogger(__name__)


class LedgerRequest(FencedRequest):
    """Set on every task of the worker; a message without the fence goes Celery's own way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.fenced:
            # Celery's own arithmetic of retries then sees the ledger's count.
            self._request_dict["retries"] = parse_retries(self._request_dict.get(RETRIES_HEADER))
            self._request_dict["headers"] = {HEADER: str(self._fence)}
            self._extended_by = 0.0
            self.outside = OutsideCancel.of(self.task, self._fence, self.args, self.kwargs)

    @property
    def _fence(self) -> Fence:
        return self.fences[0]

    def _execute(self, pool: Any) -> None:
        _, soft = self.time_limits
        self._pool = pool
        self.job = pool.apply_async(
            partial(trace_run, fast=self._app.use_fast_trace_task),
            args=(
                self.type,
                self.id,
                self._request_dict,
                self.body,
                self.content_type,
                self.content_encoding,
            ),
            accept_callback=self.on_accepted,
            timeout_callback=self.on_timeout,
            callback=self._on_return,
            error_callback=self.on_failure,
            soft_timeout=soft or self.task.soft_time_limit,
            # No hard limit here: the deadline is the ledger's, and the stopper keeps it.
            correlation_id=self.id,
        )

    def extend_soft_limit(self, seconds: float) -> None:
        """In the stopper's thread: seconds beyond what the run was granted at its start."""
        if seconds > self._extended_by:
            self._extended_by = seconds
            runtime.mailbox.post(partial(self._arm_soft_limit, seconds))

    def _arm_soft_limit(self, extended_by: float) -> None:
        """In the event loop, whose timers the pool's limits are."""
        limits: Any = self._pool._pool if self.began else None  # noqa: SLF001 Celery wraps billiard's
        soft = self.time_limits[1] or self.task.soft_time_limit
        if self.over or soft is None or not hasattr(limits, "on_timeout_set"):
            return
        elapsed = time.time() - (self.time_start or time.time())
        limits.on_timeout_cancel(self.job)
        limits.on_timeout_set(self.job, max(0.1, soft + extended_by - elapsed), None)

    def _on_return(self, failed__retval__runtime: tuple[int, Any, float], **_: Any) -> None:
        failed, value, seconds = failed__retval__runtime
        if failed:
            self.on_failure(value, return_ok=True)
            return
        ending = self._read(endings.success, self._fence, value)
        if runtime.window is not None:
            runtime.window.note_end(seconds)
        brief = value.brief if isinstance(value, Returned) else value
        self._record(ending, partial(self._after_success, brief, seconds))

    def _after_success(self, brief: str, seconds: float) -> None:
        state.task_ready(self, successful=True)
        shown = configured_redactor().text(str(brief))
        self.send_event("task-succeeded", result=shown, runtime=seconds)

    def on_failure(
        self,
        exc_info: Any,
        send_failed_event: bool = True,  # noqa: FBT001, FBT002 the signature is Celery's
        return_ok: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Record the failure first, then let Celery do its own part."""
        if not self.fenced:
            super().on_failure(exc_info, send_failed_event, return_ok)
            return
        declared = endings.declared_retry(self.task, retries=self._request_dict["retries"])
        read = partial(endings.failure, requeued=declared)
        ending = self._read(read, self._fence, exc_info)
        celery_part = partial(super().on_failure, exc_info, False, return_ok)
        then = partial(self._after_failure, celery_part, ending)
        self._record(ending, then, died=endings.tells_of_death(exc_info))

    def _after_failure(self, celery_part: Callable[[], object], ending: Ending) -> None:
        celery_part()
        # In place of Celery's event, which shows the error as it is.
        self.send_event("task-failed", exception=ending.error_code, traceback=ending.error)

    def on_timeout(self, soft: bool, timeout: float) -> None:  # noqa: FBT001 Celery's signature
        """Record a hard timeout; a soft one comes back as the task's own exception."""
        celery_part = partial(super().on_timeout, soft, timeout)
        if self.outside is not None:
            self.outside.begin()
        if self.fenced and not soft:
            self._record(endings.hard_timeout(self._fence, timeout), celery_part, died=True)
        else:
            celery_part()

    def _record(self, ending: Ending, then: Callable[[], object], *, died: bool = False) -> None:
        """Record an end of its own; of a process that was stopped the stopper tells."""
        finish = partial(self._settle, then)
        if died and self.dies_of_stop(finish):
            return
        self.end()
        runtime.recorder.record_end(ending, partial(self._end_answered, finish))

    def _end_answered(self, finish: Callable[[], None], recorded: bool) -> None:  # noqa: FBT001
        if not recorded:
            logger.info("late_result_ignored", extra={"fence": str(self._fence)})
        runtime.look_after_chain(self._request_dict)
        runtime.mailbox.post(finish)
