"""Stops attempts in this worker: what the ledger wants stopped, and at the worker's own end.

Requests are read from the database, never taken from `control.revoke`: requested (the run is
`stopping`), delivered (its process was signalled), gone (nothing of it is left). A thread of its
own, so that a stop goes through while the event loop waits for its broker.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import Error, connection

from scheduling.clock import database_now
from scheduling.engine.aside import set_run_aside
from scheduling.engine.one_by_one import read_rows
from scheduling.fence import Fence
from scheduling.models import Run
from scheduling.states import RunState
from scheduling.transitions import HARD_LIMIT_MARGIN, cancel, note_stop_delivered, time_out
from scheduling.worker.attempts import Attempts
from scheduling.worker.recorder import Recorder
from scheduling.worker.stop import BATCH_ENDED, Cause, Progress, Stop

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
PRESS_EVERY_SECONDS = 0.1
END_WITHIN_SECONDS = 2.0
BY_CELERY = "terminated through Celery's remote control"


class Stopper(threading.Thread):
    """One per worker process; only where a pool's processes can be stopped does it signal any."""

    def __init__(
        self,
        *,
        worker_id: Callable[[], UUID | None],
        attempts: Attempts[Any],
        recorder: Recorder,
        can_stop: bool,
    ) -> None:
        super().__init__(name="ops-stopper", daemon=True)
        self._worker_id = worker_id
        self._attempts = attempts
        self._recorder = recorder
        self._can_stop = can_stop
        self._delivered: set[Fence] = set()
        self._wishes: deque[tuple[Fence, Cause]] = deque()
        self._stops: dict[Fence, Stop] = {}
        self._strangers: set[Fence] = set()
        self._superseded: set[Fence] = set()
        self._closing = False
        self._release_at: float | None = None
        self._ending = threading.Event()

    def run(self) -> None:
        """Look for what is to be stopped, and press on with it, until ended."""
        looked_at = 0.0
        while self._stops or not self._ending.is_set():
            now = time.monotonic()
            if now - looked_at >= LOOK_EVERY_SECONDS:
                looked_at = now
                self._guard(self._look)
            self._guard(self._grant_wishes)
            self._guard(self._release_if_due)
            self._press_all()
            self._guard(self._note_delivered)
            self._ending.wait(PRESS_EVERY_SECONDS if self._stops else LOOK_EVERY_SECONDS)
        connection.close()

    def release_all_after(self, seconds: float) -> None:
        """Release what has not begun, and what runs after this long; 0 is no limit.

        Safe to call from a signal handler: it takes no lock.
        """
        self._closing = True
        if seconds > 0 and self._release_at is None:
            self._release_at = time.monotonic() + seconds

    def wish(self, fence: Fence, cause: Cause) -> None:
        """Have one attempt stopped; safe to call from a signal handler."""
        self._wishes.append((fence, cause))

    def end(self) -> None:
        """End the thread; what is not gone by now is told by the worker's silence."""
        self._ending.set()
        self.join(END_WITHIN_SECONDS)

    # -- what is to be stopped -------------------------------------------------------------------

    def _look(self) -> None:
        """Compare what the ledger thinks runs here with what does."""
        worker_id = self._worker_id()
        if worker_id is None:
            return
        runs = Run.objects.open(RunState.RUNNING, RunState.STOPPING).filter(worker=worker_id)
        looked_at = runs.only("id", "attempt", "state", "started_at", "timeout", "deadline_at")
        here = read_rows(looked_at, set_aside=_set_aside)
        by_fence = {run.fence: run for run in here}
        stopping = {f for f, run in by_fence.items() if run.state == RunState.STOPPING}
        self._end_late_batches()
        running = [run for run in here if run.state == RunState.RUNNING]
        self._time_out(running)
        self._follow_deadlines(running)
        for fence in stopping:
            self._begin(fence, Cause.LEDGER)
        self._disown_strangers(by_fence)
        self._stop_superseded(by_fence)

    def _time_out(self, running: list[Run]) -> None:
        """The deadline is the database's, so that it can be extended while a run runs."""
        if any(run.deadline_at for run in running):
            now = database_now()
            late = [r for r in running if r.deadline_at is not None and r.deadline_at <= now]
            if late:
                time_out([run.fence for run in late], now=now)

    def _follow_deadlines(self, running: list[Run]) -> None:
        """Where somebody gave a run more time, its soft limit is later as well."""
        for run in running:
            request = self._attempts.get(run.fence)
            if request is not None and run.deadline_at and run.started_at and run.timeout:
                granted = run.started_at + run.timeout + HARD_LIMIT_MARGIN
                request.extend_soft_limit((run.deadline_at - granted).total_seconds())

    def _end_late_batches(self) -> None:
        """Before their deadline: nobody knows which of the runs it is that would have missed it."""
        for fence, request in self._attempts:
            if request.is_late(time.monotonic()):
                self._begin(fence, Cause.BATCH)

    def _disown_strangers(self, by_fence: dict[Fence, Run]) -> None:
        """What is said to run here, and does not, seen twice: nothing of it is left."""
        strangers = {fence for fence in by_fence if self._attempts.get(fence) is None}
        for fence in strangers & self._strangers:
            logger.warning("attempt_unknown_here", extra={"fence": str(fence)})
            self._recorder.record_gone(fence)
        self._strangers = strangers

    def _stop_superseded(self, by_fence: dict[Fence, Run]) -> None:
        """What runs here, and is nobody's any more, seen twice: it only does harm."""
        superseded = {
            fence for fence, request in self._attempts if request.began and fence not in by_fence
        }
        for fence in superseded & self._superseded:
            self._begin(fence, Cause.SUPERSEDED)
        self._superseded = superseded

    def _grant_wishes(self) -> None:
        while self._wishes:
            fence, cause = self._wishes[0]
            if cause is Cause.LEDGER:  # the ledger first; the next look finds it there
                cancel([fence.run_id], reason=BY_CELERY, now=database_now())
            else:
                self._begin(fence, cause)
            self._wishes.popleft()

    def _release_if_due(self) -> None:
        if self._closing:
            for fence, _ in self._attempts:
                self._begin(fence, Cause.YIELD)
        if self._release_at is not None and time.monotonic() >= self._release_at:
            for fence, _ in self._attempts:
                self._begin(fence, Cause.RELEASE)

    def _begin(self, fence: Fence, cause: Cause) -> None:
        request = self._attempts.get(fence)
        if request is None or fence in self._stops or not self._can_stop:
            return
        if not request.be_stopped(unless_begun=cause is Cause.YIELD):
            return
        logger.info("attempt_told_to_stop", extra={"fence": str(fence), "cause": cause.name})
        self._stops[fence] = Stop(request, cause)

    # -- until it is gone ------------------------------------------------------------------------

    def _press_all(self) -> None:
        now = time.monotonic()
        for fence, stop in list(self._stops.items()):
            told_before = stop.told_at is not None
            progress = stop.press(now)
            if stop.cause is Cause.LEDGER and not told_before and stop.told_at is not None:
                self._delivered.add(fence)
            if progress is not Progress.PRESSING:
                del self._stops[fence]
            if progress is Progress.GONE:
                self._tell_gone(fence, stop)

    def _note_delivered(self) -> None:
        if self._delivered:
            note_stop_delivered(self._delivered, now=database_now())
            self._delivered.clear()

    def _tell_gone(self, fence: Fence, stop: Stop) -> None:
        if stop.cause is Cause.SUPERSEDED:
            stop.request.stopped(recorded=False)
        else:
            self._recorder.record_gone(
                fence, released=self._released_because(stop.cause), answer=stop.request.stopped
            )

    def _released_because(self, cause: Cause) -> str:
        if cause is Cause.LEDGER:
            return ""
        if cause is Cause.BATCH:
            return BATCH_ENDED
        return "worker_stopped" if self._closing or cause is Cause.RELEASE else "worker_busy"

    @staticmethod
    def _guard(step: Callable[[], None]) -> None:
        """No surprise may end this loop: a stop that nobody delivers holds its slot."""
        try:
            step()
        except Error as error:
            logger.warning("database_unreachable", extra={"error": str(error)})
            connection.close()
        except Exception:
            logger.exception("stopper_failed", extra={"step": step.__name__})


def _set_aside(run_id: UUID, error: Exception) -> None:
    """A run that cannot be read must not keep the others from being stopped."""
    set_run_aside(run_id, error, now=database_now())
