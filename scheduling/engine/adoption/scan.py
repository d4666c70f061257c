"""Walks over periodic tasks and their schedule rows, for what was changed without a word.

`QuerySet.update`, bulk operations, migrations and raw SQL send no signal. A round looks at every
row, a page at a time; one begins every 30 seconds, or at once when somebody says that something
changed and no row tells what.
"""

import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from django.db.models import Model
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from scheduling.engine.adoption.fingerprints import Fingerprints
from scheduling.engine.schedules import KINDS

ROUND_SECONDS = 30.0
REST_PER_WORK = 9  # extra rounds, for those who say that something changed, take a tenth of a beat
PAGE = 100  # rows compared, adopted or edited together: a write transaction of some 50 ms
MOST_SCHEDULES = 500  # in one query

TASKS = "task"
FOLLOWED = (
    *("name", "task", *KINDS, "args", "kwargs", "queue", "exchange", "routing_key", "headers"),
    *("priority", "expires", "expire_seconds", "one_off", "start_time", "enabled", "description"),
)
TABLES: dict[str, tuple[type[Model], tuple[str, ...]]] = {
    "interval": (IntervalSchedule, ("every", "period")),
    "crontab": (
        CrontabSchedule,
        ("minute", "hour", "day_of_week", "day_of_month", "month_of_year", "timezone"),
    ),
    "solar": (SolarSchedule, ("event", "latitude", "longitude")),
    "clocked": (ClockedSchedule, ("clocked_time",)),
    TASKS: (PeriodicTask, FOLLOWED),
}


class Selection(Protocol):
    """Periodic tasks to be looked at, page by page; a page that failed is given again."""

    def page(self) -> list[int]:
        """Return the next primary keys, none when all were passed."""

    def passed(self, page: list[int]) -> None:
        """Go on behind this page."""


@dataclass
class Listed:
    """The tasks of these primary keys, gone ones among them."""

    keys: list[int]
    _passed: int = 0

    def page(self) -> list[int]:
        """Return the next primary keys, none when all were passed."""
        return self.keys[self._passed : self._passed + PAGE]

    def passed(self, page: list[int]) -> None:
        """Go on behind this page."""
        self._passed += len(page)


@dataclass
class Sharing:
    """The tasks that point at schedule rows of one kind."""

    kind: str
    schedules: list[int]
    _after: int = -1

    def page(self) -> list[int]:
        """Return the next primary keys, none when all were passed."""
        rows = PeriodicTask.objects.filter(**{f"{self.kind}_id__in": self.schedules})
        rows = rows.filter(pk__gt=self._after).order_by("pk")
        return list(rows.values_list("pk", flat=True)[:PAGE])

    def passed(self, page: list[int]) -> None:
        """Go on behind this page."""
        self._after = page[-1]


class Scan:
    """The tables, and the round that is under way if one is."""

    def __init__(self) -> None:
        self._tables = {
            kind: Fingerprints(model, fields) for kind, (model, fields) in TABLES.items()
        }
        self._round: deque[str] = deque()
        self._wanted: tuple[str, ...] = (*KINDS, TASKS)
        self._hurried = False
        self._full_since = float("-inf")
        self._rests_until = float("-inf")
        self._work_seconds = 0.0

    def hurry(self, *, tasks: bool) -> None:
        """Have a round begin as soon as may be: of the schedule rows, or with the tasks too."""
        self._wanted = (*KINDS, TASKS) if tasks or TASKS in self._wanted else KINDS

    def underway(self, *, monotonic: float) -> bool:
        """Begin a round if it is time for one; return whether one is under way."""
        if not self._round:
            self._begin(monotonic)
        return bool(self._round)

    def behind(self, *, monotonic: float) -> bool:
        """Whether there is a round that is to be walked without rest."""
        late = monotonic - self._full_since > ROUND_SECONDS
        return self.underway(monotonic=monotonic) and (self._hurried or late)

    def step(self, *, monotonic: float) -> list[Selection]:
        """Look at the next page of the round; return the tasks to be compared with their jobs."""
        kind = self._round[0]
        table = self._tables[kind]
        learning = not table.learned
        started = time.perf_counter()
        keys, over = table.look()
        self._work_seconds += time.perf_counter() - started
        if over:
            self._round.popleft()
        if not self._round:
            self._rests_until = monotonic + REST_PER_WORK * self._work_seconds
        if kind == TASKS:
            return [Listed(keys)] if keys else []
        # In the first round there is nothing to compare with: it compares every task afterwards.
        parts = range(0, 0 if learning else len(keys), MOST_SCHEDULES)
        return [Sharing(kind, keys[part : part + MOST_SCHEDULES]) for part in parts]

    def _begin(self, monotonic: float) -> None:
        due = monotonic - self._full_since >= ROUND_SECONDS
        if not due and (not self._wanted or monotonic < self._rests_until):
            return
        self._hurried = bool(self._wanted)
        self._round.extend((*KINDS, TASKS) if due else self._wanted)
        self._wanted, self._work_seconds = (), 0.0
        if TASKS in self._round:
            self._full_since = monotonic
