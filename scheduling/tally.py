"""How verdicts are named and by which day they are counted: the same for proof and pruning.

A tick's verdict is a final state, skips with their reason: `done`, `skipped:paused`. A run without
a tick (manual, start-up) has its trigger in front, `manual:done`, and is no part of the planned
account. A day is a UTC day; a tick at midnight belongs to the day that begins.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from scheduling.recurrence import Recurrence
from scheduling.states import FINAL, RunState
from scheduling.verdicts import INSTANT

LONGEST_NAME = 40  # what the column of the totals takes; a reason that was written by hand may not
DAY = timedelta(days=1)


def verdict_name(state: str, reason: str) -> str:
    """Return the name under which an ended tick is counted."""
    return f"{state}:{reason}"[:LONGEST_NAME] if state == RunState.SKIPPED else state


def unplanned_name(trigger: str, state: str, reason: str) -> str:
    """Return the name under which an ended run without a tick is counted."""
    return f"{trigger}:{verdict_name(state, reason)}"[:LONGEST_NAME]


def is_planned(verdict: str) -> bool:
    """Whether a name is that of a tick's verdict."""
    return verdict.partition(":")[0] in FINAL


def day_of(instant: datetime) -> date:
    """Return the UTC day of an instant."""
    return instant.astimezone(UTC).date()


def start_of(day: date) -> datetime:
    """Return the first instant of a UTC day."""
    return datetime.combine(day, time.min, UTC)


def ticks_by_day(
    recurrence: Recurrence, after: datetime, until: datetime
) -> Iterator[tuple[date, int]]:
    """Yield each day of (after, until] that holds ticks, and how many."""
    while after < until:
        day = day_of(after + INSTANT)
        end = min(until, start_of(day) + DAY - INSTANT)
        if count := recurrence.count(after, end):
            yield day, count
        after = end
