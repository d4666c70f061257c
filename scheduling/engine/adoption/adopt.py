"""Adopts: keeps jobs in step with the PeriodicTask rows of django-celery-beat (SPEC A7).

A row without a job was made by somebody else and becomes one, see `foreign_rows`; a row that
differs from its job was edited elsewhere and is copied down, see `comparison` and `edits`; a job
whose row is gone is closed, see `orphans`. What is saved is heard of at once (`changes`), what is
changed without a word is found by a walk (`scan`, `fingerprints`). Every turn does a slice of it.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime

from celery import Celery

from scheduling.conf import conf
from scheduling.engine.adoption.changes import Changes
from scheduling.engine.adoption.comparison import COMPARED
from scheduling.engine.adoption.edits import copy_down
from scheduling.engine.adoption.foreign_rows import adopt, adopt_aside
from scheduling.engine.adoption.orphans import close_orphans, detach_deleted
from scheduling.engine.adoption.periodic_tasks import read_rows, reason_of
from scheduling.engine.adoption.routes import Routes
from scheduling.engine.adoption.scan import Listed, Scan, Selection
from scheduling.models import Job
from scheduling.outage import is_outage

logger = logging.getLogger(__name__)

SLICE_SECONDS = 0.010  # and the page that was begun in it: less than 20 ms together


class Adoption:
    """What one beat remembers of the rows; all of it may be lost, and is learned again."""

    def __init__(self, app: Celery, scope: str) -> None:
        self.scope = scope
        self._routes = Routes(app, scope)
        self._changes = Changes()
        self._scan = Scan()
        self._pending: deque[Selection] = deque()
        self._has_detached = False
        self._may_have_orphans = False
        self.behind = False  # whether the next slice should follow at once

    def follow(self, *, now: datetime, monotonic: float) -> None:
        """Do a slice of the work."""
        self.behind = False
        self._hear(now)
        self._close_orphans(now)
        until = time.perf_counter() + SLICE_SECONDS
        while time.perf_counter() < until:
            if self._pending:
                self._follow_page(now)
            elif self._scan.underway(monotonic=monotonic):
                self._pending.extend(self._scan.step(monotonic=monotonic))
            else:
                break
        self.behind = (
            bool(self._pending) or self._may_have_orphans or self._scan.behind(monotonic=monotonic)
        )

    def _hear(self, now: datetime) -> None:
        heard = self._changes.hear(now=now)
        if heard is None:
            return
        if heard.saved:
            self._pending.appendleft(Listed(heard.saved))
        self._scan.hurry(tasks=not heard.complete)
        self._may_have_orphans = True

    def _close_orphans(self, now: datetime) -> None:
        """Done only when it was done: a database that fails meanwhile is asked again."""
        if not self._has_detached:
            detach_deleted(self.scope)
            self._has_detached = True
        if self._may_have_orphans:
            close_orphans(self.scope, now=now)
            self._may_have_orphans = False

    def _follow_page(self, now: datetime) -> None:
        selection = self._pending[0]
        if page := selection.page():
            self._follow_rows(page, now)
            selection.passed(page)
        else:
            self._pending.popleft()

    def _follow_rows(self, pks: Sequence[int], now: datetime) -> None:
        """Follow a page of rows together, or one by one where one of them is bad."""
        try:
            self._bring_in_step(pks, now)
        except Exception as error:
            if is_outage(error):
                raise
            logger.exception("schedules_not_followed", extra={"periodic_tasks": list(pks)})
            if len(pks) == 1:
                self._note(pks[0], reason_of(error))
            else:
                for pk in pks:
                    self._follow_rows([pk], now)

    def _bring_in_step(self, pks: Sequence[int], now: datetime) -> None:
        if not pks:
            return
        rows = {row.pk: row for row in read_rows(pks)}
        known = Job.objects.filter(schedule_id__in=pks).only(*COMPARED)
        jobs = {job.schedule_id: job for job in known}
        pairs = [(row, jobs[pk]) for pk, row in rows.items() if pk in jobs]
        ours = [(row, job) for row, job in pairs if job.scope == self.scope and not job.deleted_at]
        copy_down(ours, self._routes, now=now)
        foreign = [row for pk, row in rows.items() if pk not in jobs]
        if foreign and self.scope == conf.OPS_ADOPT_SCOPE:
            returned = adopt(foreign, self._routes, scope=self.scope, now=now)
            self._bring_in_step(returned, now)
        if gone := [pk for pk in pks if pk not in rows]:
            detach_deleted(self.scope, among=gone)
            self._may_have_orphans = True

    def _note(self, pk: int, reason: str) -> None:
        """Say on the job, or on one made for it, why its row could not be followed."""
        known = Job.objects.filter(schedule_id=pk)
        try:
            if known.exists():
                known.filter(scope=self.scope).update(schedule_error=reason)
            elif self.scope == conf.OPS_ADOPT_SCOPE:
                adopt_aside(read_rows([pk]), scope=self.scope, reason=reason)
        except Exception as error:
            if is_outage(error):
                raise
            logger.exception("schedule_not_noted", extra={"periodic_task": pk})
