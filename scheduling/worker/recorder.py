"""Writes starts and finishes in group commits, from a thread of its own.

The worker's event loop never waits for the database; what cannot be written now is kept and tried
again.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.db import connection

from scheduling.clock import database_now
from scheduling.ending import Ending
from scheduling.engine.aside import set_run_aside
from scheduling.engine.chains.arrivals import start_arrived
from scheduling.fence import Fence
from scheduling.outage import is_outage
from scheduling.states import Outcome
from scheduling.transitions import (
    Terms,
    end_stopping,
    finish,
    lose,
    note_unknown_task,
    release,
    start,
)

logger = logging.getLogger(__name__)

MOST_IN_A_COMMIT = 200
# Behind a group of several messages: a larger one costs little more than a small. A fraction of
# the work that `window` takes ahead, so that no process idles meanwhile.
LINGER_SECONDS = 0.025
OUTAGE_WAIT_SECONDS = 1.0
NOT_RECORDABLE = "EndNotRecordable"

Answer = Callable[[bool], object]


@dataclass(frozen=True)
class _Start:
    fence: Fence
    terms: Terms
    answer: Answer

    @property
    def alone(self) -> bool:
        """Whether its message stands for nothing else; what came as a group needs no waiting."""
        return self.terms.together == 1


@dataclass(frozen=True)
class _Finish:
    ending: Ending
    answer: Answer
    alone: bool


@dataclass(frozen=True)
class _UnknownTask:
    fence: Fence
    error: str
    answer: Answer


@dataclass(frozen=True)
class _Gone:
    fence: Fence
    released: str  # why it was; empty: lost, unless the ledger wanted it stopped
    answer: Answer


Item = _Start | _Finish | _Gone | _UnknownTask


class Recorder(threading.Thread):
    """One per worker process. Each answer is called once, from this thread, after the commit."""

    def __init__(
        self,
        worker_id: Callable[[], UUID | None],
        *,
        ended: Callable[[Collection[UUID]], object] = lambda _: None,
    ) -> None:
        super().__init__(name="ops-recorder", daemon=True)
        self._worker_id = worker_id
        self._ended = ended
        self._items: deque[Item] = deque()
        self._group_size = MOST_IN_A_COMMIT
        self._in_doubt = False  # whether a commit that was tried may have happened
        self._arrived = threading.Event()
        self._stopping = threading.Event()
        self._pause = threading.Event()  # never set: even while stopping an outage is waited out

    def ask_start(self, fence: Fence, terms: Terms, answer: Answer) -> None:
        """Ask whether this attempt may start; the answer is True only if it was granted."""
        self._put(_Start(fence, terms, answer))

    def record_end(self, ending: Ending, answer: Answer, *, alone: bool = True) -> None:
        """Record how an attempt ended; False answers that the ledger had given it away.

        `alone`: no other ends are recorded with it, so that some may be waited for.
        """
        self._put(_Finish(ending, answer, alone))

    def record_gone(
        self, fence: Fence, *, released: str = "", answer: Answer = lambda _: None
    ) -> None:
        """Record that nothing is left of an attempt: as it was told to stop, released or lost."""
        self._put(_Gone(fence, released, answer))

    def note_unknown_task(self, fence: Fence, error: str) -> None:
        """Say on a run why its message was dropped here; nobody waits for the answer."""
        self._put(_UnknownTask(fence, error, lambda _: None))

    def stop(self, timeout: float) -> None:
        """Write what is left and end the thread, within `timeout` seconds."""
        self._stopping.set()
        self._arrived.set()
        self.join(timeout)

    def run(self) -> None:
        """Commit group after group until stopped and empty."""
        while self._items or not self._stopping.is_set():
            self._arrived.wait()
            self._arrived.clear()
            while self._items:
                if _waits_for_more(self._write_group()):
                    self._pause.wait(LINGER_SECONDS)
        connection.close()

    def _put(self, item: Item) -> None:
        self._items.append(item)
        if not self._arrived.is_set():  # setting it costs a lock that both threads want
            self._arrived.set()

    def _write_group(self) -> Sequence[Item]:
        """Commit what has come, as far as it fits; return what is now written."""
        group = list(islice(self._items, self._group_size))
        try:
            granted = self._write(group)
        except Exception as error:
            if is_outage(error):
                self._wait_out(error)
                return []
            # One poisonous item must not take the others of its group along.
            logger.exception("group_not_written", extra={"items": len(group)})
            self._group_size = 1
            if len(group) == 1:
                self._give_up(error)
            return []
        self._group_size, self._in_doubt = MOST_IN_A_COMMIT, False
        self._tell_of_ends(group, granted)
        for item in group:
            self._items.popleft()
            self._answer(item, granted=_fence_of(item) in granted)
        return group

    def _tell_of_ends(self, group: Sequence[Item], recorded: Collection[Fence]) -> None:
        """Of what was released nobody is told: it would come straight back."""
        ends = [_fence_of(item) for item in group if _is_end(item)]
        if ended := [fence.run_id for fence in ends if fence in recorded]:
            self._ended(ended)

    def _wait_out(self, error: Exception) -> None:
        logger.warning("database_unreachable", extra={"error": str(error)})
        self._in_doubt = True
        connection.close()
        self._pause.wait(OUTAGE_WAIT_SECONDS)

    def _give_up(self, error: Exception) -> None:
        """Refuse the start, or record in place of the end that it could not be recorded.

        Where not even that can be recorded the run itself cannot be dealt with, and is set aside.
        """
        item = self._items.popleft()
        if isinstance(item, _Finish) and item.ending.error_code != NOT_RECORDABLE:
            self._items.appendleft(replace(item, ending=_not_recordable(item.ending, error)))
            return
        if not isinstance(item, _UnknownTask):
            _set_aside(_fence_of(item), error)
        self._answer(item, granted=False)

    def _answer(self, item: Item, *, granted: bool) -> None:
        """Without an event loop this runs Celery's own code: nothing in it may end the thread."""
        try:
            item.answer(granted)
        except Exception:
            logger.exception("answer_failed", extra={"fence": str(_fence_of(item))})

    def _write(self, group: Sequence[Item]) -> set[Fence]:
        now = database_now()
        granted: set[Fence] = set()
        if endings := [item.ending for item in group if isinstance(item, _Finish)]:
            granted |= finish(endings, now=now)
        for item in group:
            if isinstance(item, _UnknownTask):
                granted |= note_unknown_task([item.fence], error=item.error)
        granted |= self._write_starts([item for item in group if isinstance(item, _Start)], now)
        # Behind the starts: an attempt can be told to stop before its start is answered.
        granted |= _write_gone([item for item in group if isinstance(item, _Gone)], now)
        return granted

    def _write_starts(self, starts: Sequence[_Start], now: datetime) -> set[Fence]:
        worker_id = self._worker_id()
        if not starts or worker_id is None:
            return set()
        fences = [item.fence for item in starts]
        terms = {item.fence: item.terms for item in starts}
        granted = start(fences, worker_id=worker_id, now=now, terms=terms, in_doubt=self._in_doubt)
        if refused := [fence for fence in fences if fence not in granted]:
            granted |= start_arrived(refused, worker_id=worker_id, now=now, terms=terms)
        return granted


def _is_end(item: Item) -> bool:
    return isinstance(item, _Finish) or (isinstance(item, _Gone) and not item.released)


def _waits_for_more(written: Sequence[Item]) -> bool:
    """Whether as much again is on its way, message by message, and better written together."""
    return len(written) > 1 and any(
        isinstance(item, _Start | _Finish) and item.alone for item in written
    )


def _write_gone(items: Sequence[_Gone], now: datetime) -> set[Fence]:
    if not items:
        return set()
    ended = end_stopping([item.fence for item in items], now=now, seen_gone=True)
    for reason in {item.released for item in items}:
        fences = [item.fence for item in items if item.released == reason]
        ended |= release(fences, now=now, reason=reason) if reason else lose(fences, now=now)
    return ended


def _set_aside(fence: Fence, error: Exception) -> None:
    """What goes wrong with it is the beat's to deal with: it finds the run again."""
    try:
        set_run_aside(fence, error, now=database_now())
    except Exception:
        logger.exception("run_not_set_aside", extra={"fence": str(fence)})


def _not_recordable(ending: Ending, error: Exception) -> Ending:
    return Ending(
        fence=ending.fence,
        outcome=Outcome.FAILED,
        error=f"the attempt ended, but its end could not be recorded: {type(error).__name__}",
        error_code=NOT_RECORDABLE,
        retryable=False,
    )


def _fence_of(item: Item) -> Fence:
    return item.ending.fence if isinstance(item, _Finish) else item.fence
