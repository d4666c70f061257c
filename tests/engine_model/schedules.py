"""The schedules and durations that the model's jobs have: short ones, so that much happens."""

from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import strategies as st

from scheduling.recurrence import Clocked, Crontab, Interval

Recurrence = Interval | Crontab | Clocked
Schedule = Callable[[datetime], Recurrence]  # made at the moment when it is set


def _every(seconds: int) -> Schedule:
    return lambda now: Interval(now, timedelta(seconds=seconds))


def _crontab(minute: str, hour: str) -> Schedule:
    return lambda _now: Crontab(minute, hour, zone="Europe/Berlin")


def _once(seconds: int) -> Schedule:
    return lambda now: Clocked(now + timedelta(seconds=seconds))


KNOWN: dict[str, Schedule] = {
    "every 30 s": _every(30),
    "every minute": _every(60),
    "every 5 minutes": _every(300),
    "* * in Berlin": _crontab("*", "*"),
    "30 2 in Berlin": _crontab("30", "2"),
    "once, in 90 s": _once(90),
}
SCHEDULES = st.sampled_from(list(KNOWN)[:3]) | st.sampled_from(list(KNOWN))


def durations(*seconds: float) -> st.SearchStrategy[timedelta]:
    """One of these."""
    return st.sampled_from([timedelta(seconds=choice) for choice in seconds])
