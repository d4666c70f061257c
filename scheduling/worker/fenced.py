"""A request behind the fence, from its message to the pool, and its acknowledgement.

A message without our header runs as plain Celery. One with it asks the recorder first; a refused
one is acknowledged and forgotten. The acknowledgement waits until every end is committed
(DESIGN rules 4 and 5).
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from celery.exceptions import TaskRevokedError
from celery.worker import state

from scheduling.ending import Ending
from scheduling.fence import HEADER, Fence, parse_fences, parse_uuid
from scheduling.transitions import Terms
from scheduling.worker import endings
from scheduling.worker.runtime import runtime
from scheduling.worker.stoppable import StoppableRequest

logger = logging.getLogger(__name__)


class FencedRequest(StoppableRequest):
    """Celery's request, fenced when its message names attempts.

    Celery subclasses this class and shadows `execute_using_pool` and `on_success`; the fenced
    versions are therefore set on the instance.
    """

    _app: Any
    _request_dict: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fences = tuple(parse_fences(self._request_dict.get(HEADER)))
        self.fenced = bool(self.fences)
        self.granted: set[Fence] = set()
        self._unanswered = len(self.fences)
        self._settled = not self.fenced
        if self.fenced:
            self.__dict__["execute_using_pool"] = self._ask_then_execute
            self.__dict__["on_success"] = self._on_return

    @property
    def _own_task(self) -> Any:
        """The task that is executed; None if it is not known here."""
        return self.task

    @property
    def _attempt_ids(self) -> Sequence[str]:
        """By the message, in the order of its fences."""
        return [self.id] * len(self.fences)

    def _execute(self, pool: Any) -> None:
        """Hand what was granted to the pool."""
        raise NotImplementedError

    def _on_return(self, failed__retval__runtime: tuple[int, Any, float], **_: Any) -> None:
        """Read what the pool's process says of it."""
        raise NotImplementedError

    # -- start -----------------------------------------------------------------------------------

    def ask(self) -> None:
        """In the event loop: ask for the start; when it is granted, wait for a free process."""
        if self._take_in_hand():
            self._ask(self._answered)
        else:
            self._drop()

    def _take_in_hand(self) -> bool:
        """A second message of an attempt that is in hand here is dropped."""
        taken = [fence for fence in self.fences if runtime.attempts.enter(fence, self)]
        return len(taken) == len(self.fences)

    def _ask(self, then: Callable[[], None]) -> None:
        seconds = getattr(self._own_task, "time_limit", None)
        limit = None if seconds is None else timedelta(seconds=seconds)
        for fence, attempt_id in zip(self.fences, map(parse_uuid, self._attempt_ids), strict=True):
            terms = Terms(attempt_id=attempt_id, limit=limit, together=len(self.fences))
            runtime.recorder.ask_start(fence, terms, partial(self._note_answer, fence, then))

    def _note_answer(self, fence: Fence, then: Callable[[], None], granted: bool) -> None:  # noqa: FBT001 an Answer
        """In the recorder's thread."""
        if granted:
            self.granted.add(fence)
        self._unanswered -= 1
        if not self._unanswered:
            then()

    def _answered(self) -> None:
        runtime.mailbox.post(self._wait_for_slot if self.granted else self._drop)

    def _wait_for_slot(self) -> None:
        self.granted_at = time.monotonic()
        runtime.when_slot_is_free(self._use_slot)

    def _use_slot(self) -> None:
        if self.begin():
            self._execute(runtime.controller.pool)
        else:
            runtime.release_pool_slot()
            self._drop()

    def _ask_then_execute(self, pool: Any, **_: Any) -> None:
        """Without an event loop: the pool's own thread asks, and waits for the answers."""
        if self._take_in_hand():
            answered = threading.Event()
            self._ask(answered.set)
            answered.wait()
        if self.granted and self.begin():
            self._execute(pool)
        else:
            self._drop()
            raise TaskRevokedError(self.id)

    def _drop(self) -> None:
        logger.info("start_refused", extra={"fence": str(self.fences[0])})
        state.task_ready(self)
        runtime.look_after_chain(self._request_dict)
        self._let_go()
        self.acknowledge()

    # -- end -------------------------------------------------------------------------------------

    def _read(self, read: Callable[[Fence, Any], Ending], fence: Fence, report: Any) -> Ending:
        """No report may be so odd that the run never ends."""
        try:
            return read(fence, report)
        except Exception as error:
            logger.exception("end_not_readable", extra={"fence": str(fence)})
            return endings.unreadable(fence, report, error)

    def _settle(self, then: Callable[[], object]) -> None:
        """Only now may the message go: its end is in the ledger, or belongs to nobody."""
        self._let_go()
        then()
        self.acknowledge()

    def _let_go(self) -> None:
        self._settled = True
        for fence in self.fences:
            runtime.attempts.leave(fence, self)

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
