"""The request of a message that stands for several runs of one task, executed one after the other.

Each run has its own start, its own soft limit and its own end in the ledger; they share a message,
a pool process and its fate, and the ends are told when the last has come, before the deadline that
counts in the time of all. When that process dies or is stopped, those that did not say how they
ended go back uncharged, and alone: a message after the first attempt stands for one run only.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from celery.worker import state

from scheduling.fence import Fence
from scheduling.transitions import HARD_LIMIT_MARGIN
from scheduling.worker import endings
from scheduling.worker.child import trace_batch
from scheduling.worker.fenced import FencedRequest
from scheduling.worker.runtime import runtime
from scheduling.worker.stop import BATCH_ENDED

logger = logging.getLogger(__name__)

LATE_AFTER_SECONDS = HARD_LIMIT_MARGIN.total_seconds() / 2  # the deadline is the whole margin away


class BatchRequest(FencedRequest):
    """Set on the task of such messages only."""

    @property
    def _own_task(self) -> Any:
        return self._app.tasks.get(self.kwargs["task"])

    @property
    def _attempt_ids(self) -> Sequence[str]:
        return [attempt_id for attempt_id, *_ in self.kwargs["runs"]]

    @property
    def _soft_limit(self) -> float | None:
        """Of each run, in seconds; None too where the pool has no processes of its own."""
        _, soft = self.time_limits
        limit = soft or getattr(self._own_task, "soft_time_limit", None)
        return limit if runtime.can_stop else None

    def is_late(self, monotonic: float) -> bool:
        """Whether one of its runs must have ignored its soft limit."""
        if self.granted_at is None or self._soft_limit is None:
            return False
        allowed = self._soft_limit * len(self.fences) + LATE_AFTER_SECONDS
        return monotonic - self.granted_at > allowed

    def _execute(self, pool: Any) -> None:
        kwargs = self.kwargs
        items = [
            (attempt_id, str(fence), args, params)
            for fence, (attempt_id, args, params) in zip(self.fences, kwargs["runs"], strict=True)
            if fence in self.granted
        ]
        self.job = pool.apply_async(
            partial(trace_batch, soft_limit=self._soft_limit, fast=self._app.use_fast_trace_task),
            args=(kwargs["task"], self._request_dict, items),
            accept_callback=self.on_accepted,
            callback=self._on_return,
            error_callback=self.on_failure,
            correlation_id=self.id,
        )

    def _on_return(self, failed__retval__runtime: tuple[int, Any, float], **_: Any) -> None:
        failed, value, seconds = failed__retval__runtime
        if failed:
            self.on_failure(value, return_ok=True)
            return
        self.end()
        if runtime.window is not None:
            runtime.window.note_end(seconds)
        granted = [fence for fence in self.fences if fence in self.granted]
        self._unanswered = len(granted)
        declared = endings.declared_retry(self._app.tasks[self.kwargs["task"]], retries=0)
        failure = partial(endings.failure, requeued=declared)
        for fence, (run_failed, report, _) in zip(granted, value, strict=True):
            ending = self._read(failure if run_failed else endings.success, fence, report)
            noted = partial(self._note_end, fence, seconds)
            runtime.recorder.record_end(ending, noted, alone=len(granted) == 1)

    def _note_end(self, fence: Fence, seconds: float, recorded: bool) -> None:  # noqa: FBT001 an Answer
        """In the recorder's thread."""
        if not recorded:
            logger.info("late_result_ignored", extra={"fence": str(fence)})
        self._unanswered -= 1
        if not self._unanswered:
            runtime.mailbox.post(partial(self._settle, partial(self._after_success, seconds)))

    def _after_success(self, seconds: float) -> None:
        state.task_ready(self, successful=True)
        self.send_event("task-succeeded", result=f"{len(self.granted)} runs", runtime=seconds)

    def on_failure(
        self,
        exc_info: Any,
        send_failed_event: bool = True,  # noqa: FBT001, FBT002 the signature is Celery's
        return_ok: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """The process died: nobody knows which run it was."""
        if not self.fenced:
            super().on_failure(exc_info, send_failed_event, return_ok)
            return
        logger.warning("batch_lost", extra={"runs": len(self.granted)})
        celery_part = partial(super().on_failure, exc_info, False, return_ok)
        finish = partial(self._give_back_and_settle, celery_part)
        if not self.dies_of_stop(finish):
            self.end()
            finish()

    def _give_back_and_settle(self, then: Callable[[], object]) -> None:
        self._give_back()
        self._settle(then)

    def _drop(self) -> None:
        self._give_back()
        super()._drop()

    def _give_back(self) -> None:
        for fence in self.granted:
            runtime.recorder.record_gone(fence, released=BATCH_ENDED)
