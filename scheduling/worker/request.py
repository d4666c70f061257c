"""The fence around a message: nothing starts unless the ledger still expects this attempt.

A message without our header runs as plain Celery. One with it asks the recorder first; a refused
one is acknowledged and forgotten. The acknowledgement waits until the end is committed, and a late
result of an attempt that was given away changes nothing (DESIGN rules 4 and 5).
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from celery.exceptions import TaskRevokedError
from celery.worker import state

from scheduling.ending import Ending
from scheduling.fence import HEADER, RETRIES_HEADER, Fence, parse_retries
from scheduling.logs import configured_redactor
from scheduling.worker import endings
from scheduling.worker.child import Returned, trace_run
from scheduling.worker.runtime import runtime
from scheduling.worker.stoppable import StoppableRequest

logger = logging.getLogger(__name__)


class LedgerRequest(StoppableRequest):
    """Celery's request, fenced when its message names an attempt.

    Celery subclasses this class and shadows `execute_using_pool` and `on_success`; the fenced
    versions are therefore set on the instance.
    """

    _app: Any
    _request_dict: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fence = Fence.parse(self._request_dict.get(HEADER))
        self.fenced = fence is not None
        self._settled = not self.fenced
        if fence is not None:
            self._fence = fence
            # Celery's own arithmetic of retries then sees the ledger's count.
            self._request_dict["retries"] = parse_retries(self._request_dict.get(RETRIES_HEADER))
            self._request_dict["headers"] = {HEADER: str(fence)}
            self.__dict__["execute_using_pool"] = self._ask_then_execute
            self.__dict__["on_success"] = self._on_return

    # -- start -----------------------------------------------------------------------------------

    def ask(self) -> None:
        """In the event loop: ask for the start; when it is granted, wait for a free process."""
        if runtime.attempts.enter(self._fence, self):
            runtime.recorder.ask_start(self._fence, self._declared_limit(), self._start_answered)
        else:
            self._drop()  # a second message of an attempt that is in hand here

    def _ask_then_execute(self, pool: Any, **_: Any) -> None:
        """Without an event loop: the pool's own thread asks, and waits for the answer."""
        if runtime.attempts.enter(self._fence, self) and self._ask_and_wait() and self.begin():
            self._execute(pool)
        else:
            self._drop()
            raise TaskRevokedError(self.id)

    def _declared_limit(self) -> timedelta | None:
        seconds = self.task.time_limit
        return None if seconds is None else timedelta(seconds=seconds)

    def _start_answered(self, granted: bool) -> None:  # noqa: FBT001 an Answer
        """In the recorder's thread: have the event loop go on."""
        runtime.mailbox.post(self._wait_for_slot if granted else self._drop)

    def _wait_for_slot(self) -> None:
        self.granted_at = time.monotonic()
        runtime.when_slot_is_free(self._use_slot)

    def _use_slot(self) -> None:
        if self.begin():
            self._execute(runtime.controller.pool)
        else:
            runtime.release_pool_slot()
            self._drop()

    def _ask_and_wait(self) -> bool:
        """Without an event loop the calling thread may wait for the answer."""
        answers: list[bool] = []
        answered = threading.Event()

        def note(granted: bool) -> None:  # noqa: FBT001 an Answer
            answers.append(granted)
            answered.set()

        runtime.recorder.ask_start(self._fence, self._declared_limit(), note)
        answered.wait()
        return answers[0]

    def _execute(self, pool: Any) -> None:
        _, soft = self.time_limits
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

    def _drop(self) -> None:
        logger.info("start_refused", extra={"fence": str(self._fence)})
        state.task_ready(self)
        self._settled = True
        runtime.attempts.leave(self._fence, self)
        self.acknowledge()

    # -- end -------------------------------------------------------------------------------------

    def _on_return(self, failed__retval__runtime: tuple[int, Any, float], **_: Any) -> None:
        failed, value, seconds = failed__retval__runtime
        if failed:
            self.on_failure(value, return_ok=True)
            return
        ending = self._read(endings.success, value)
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
        ending = self._read(endings.failure, exc_info)
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
        if self.fenced and not soft:
            self._record(endings.hard_timeout(self._fence, timeout), celery_part, died=True)
        else:
            celery_part()

    def _read(self, read: Callable[[Fence, Any], Ending], report: Any) -> Ending:
        """No report may be so odd that the run never ends."""
        try:
            return read(self._fence, report)
        except Exception as error:
            logger.exception("end_not_readable", extra={"fence": str(self._fence)})
            return endings.unreadable(self._fence, report, error)

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
        runtime.mailbox.post(finish)

    def _settle(self, then: Callable[[], object]) -> None:
        """Only now may the message go: its end is in the ledger, or belongs to nobody."""
        self._settled = True
        runtime.attempts.leave(self._fence, self)
        then()
        self.acknowledge()

    def revoked(self) -> bool:
        """The ledger cancels, not `control.revoke`: that would keep the message and its slot."""
        return False if self.fenced else bool(super().revoked())

    # -- acknowledgement -------------------------------------------------------------------------

    def acknowledge(self) -> None:
        """Acknowledge once, and not before the ledger has the end, whatever the task declares."""
        if self._settled:
            super().acknowledge()

    def reject(self, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 Celery's signature
        """The ledger brings work back, not the broker: a fenced message is never requeued."""
        if self.fenced:
            self.acknowledge()
        else:
            super().reject(requeue)
