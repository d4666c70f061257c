"""Cleans up in a beat's spare time: looks for old history, job after job, and has it pruned.

For a moment in each turn behind which no tick is about to fall due; a beat that never has such a
turn does one batch every few seconds, so that it keeps up all the same. When all jobs have been
looked at it rests: history grows old by whole days, so that an hour more does not matter. What it
remembers may be lost at any moment.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from scheduling.engine.pruning.office_work import prune_office_work
from scheduling.engine.pruning.old_history import next_page
from scheduling.engine.pruning.prune import prune, run_of_the_last_event
from scheduling.models import Job

logger = logging.getLogger(__name__)

REST_SECONDS = 3_600.0
MOMENT_SECONDS = 0.2  # of one turn
LONGEST_WAIT_SECONDS = 3.0  # for a turn that has time
CLEAR_AHEAD = timedelta(seconds=0.3)  # no tick may fall due so soon
QUICK_SECONDS, SLOW_SECONDS = 0.03, 0.12  # a transaction between these has the right size
FEWEST_ROWS, MOST_ROWS = 100, 2_000


class Cleaner:
    """Prunes the history of one scope, a moment per turn."""

    def __init__(self, scope: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.scope = scope
        self.clock = clock
        self.rows = 200  # of a batch: found out by what it takes
        self._looked_until = 0  # primary key of the last job that was looked at
        self._waiting: list[int] = []
        self._pruned = 0
        self._rests_until = self._worked_at = self.clock()

    def clean_up(self, *, now: datetime) -> None:
        """Prune for a moment, if there is something to prune and time for it."""
        started = self.clock()
        if started < self._rests_until:
            return
        if not self._tick_is_near(now):
            while self._do_a_piece(now) and self.clock() < started + MOMENT_SECONDS:
                pass
        elif started > self._worked_at + LONGEST_WAIT_SECONDS:
            self._do_a_piece(now)
        else:
            return
        self._worked_at = self.clock()

    def _tick_is_near(self, now: datetime) -> bool:
        return Job.objects.in_scope(self.scope).due(now + CLEAR_AHEAD).exists()

    def _do_a_piece(self, now: datetime) -> bool:
        """Prune one batch or look at one page; return whether to go on."""
        return self._prune_batch(now) if self._waiting else self._look_on(now)

    def _prune_batch(self, now: datetime) -> bool:
        began = self.clock()
        pruned = prune(self._waiting, now=now, rows=self.rows)
        self._waiting = pruned.waiting
        self._pruned += pruned.rows
        self._learn(self.clock() - began)
        return pruned.rows > 0

    def _learn(self, seconds: float) -> None:
        """Keep transactions short on a slow disk, and few on a fast one."""
        if seconds > SLOW_SECONDS:
            self.rows = max(FEWEST_ROWS, self.rows // 2)
        elif seconds < QUICK_SECONDS:
            self.rows = min(MOST_ROWS, self.rows * 2)

    def _look_on(self, now: datetime) -> bool:
        page = next_page(self.scope, after=self._looked_until, now=now)
        if page is None:
            if pruned := self._prune_offices(now):
                return pruned
            self._rest()
            return False
        self._waiting, self._looked_until = page.old, page.last
        return True

    def _prune_offices(self, now: datetime) -> bool:
        """Last of all, what was submitted to offices; return whether there may be more of it."""
        began = self.clock()
        kept = run_of_the_last_event()
        gone = prune_office_work(self.scope, now=now, rows=self.rows, kept=kept)
        self._pruned += gone
        self._learn(self.clock() - began)
        return gone > 0

    def _rest(self) -> None:
        if self._pruned:
            logger.info("history_pruned", extra={"scope": self.scope, "rows": self._pruned})
        self._looked_until = self._pruned = 0
        self._rests_until = self.clock() + REST_SECONDS
