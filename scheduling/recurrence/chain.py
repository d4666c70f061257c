"""One run after the other: the next is due some time after the last one's end (SPEC A8)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from scheduling.recurrence.contract import RecurrenceError
from scheduling.recurrence.crontab import Crontab
from scheduling.recurrence.fields import DAY_OF_MONTH, DAY_OF_WEEK, HOUR, MONTH_OF_YEAR
from scheduling.recurrence.interval import LONGEST, SHORTEST, UNITS

RESTRICTING = {
    "hour": HOUR,
    "day_of_week": DAY_OF_WEEK,
    "day_of_month": DAY_OF_MONTH,
    "month_of_year": MONTH_OF_YEAR,
}


@dataclass(frozen=True, slots=True)
class Chain:
    """A delay, a crontab or both: then the crontab decides, unless it restricts only minutes.

    What falls due depends on when runs end, so a window holds no ticks that could be foretold:
    `count` is 0. The ticks of a chain are the runs that were made.
    """

    delay: timedelta | None
    cron: Crontab | None
    kind: ClassVar[str] = "chain"

    def __post_init__(self) -> None:
        if self.delay is None and self.cron is None:
            raise RecurrenceError("bad_chain", "a chain needs a delay, a crontab or both")
        if self.delay is not None and not SHORTEST <= self.delay <= LONGEST:
            raise RecurrenceError(
                "bad_delay", f"delay={self.delay}: give 1 second to 100 years after a run's end"
            )

    def due_after(
        self, end: datetime, *, first: bool = False, earliest: datetime | None = None
    ) -> datetime | None:
        """Return when the run after one that ended at `end` is due, not before `earliest`.

        `first`: nothing ended at `end`, the chain begins there; with a crontab it waits for that
        one's next tick. None if there never is one.
        """
        if self.cron is not None and (first or self.cron_decides):
            after = max(end, earliest - timedelta.resolution) if earliest else end
            return self.cron.next_after(after)
        try:
            due = end + (self.delay or timedelta(0))
        except OverflowError:
            return None
        return max(due, earliest) if earliest else due

    def next_after(self, after: datetime) -> datetime | None:
        """Return when the next run is due if the last one ends at `after`."""
        return self.due_after(after)

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """Return None: no tick can be foretold."""
        del after, until
        return None

    def count(self, after: datetime, until: datetime) -> int:
        """Return 0: no tick can be foretold."""
        del after, until
        return 0

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield nothing: no tick can be foretold."""
        del after, until
        return iter(())

    def in_words(self) -> str:
        """Return for example "2 minutes after the last run's end"."""
        cron = self.cron.in_words() if self.cron else ""
        if self.delay is None or self.cron_decides:
            return f"{cron}, one run after the other"
        words = f"{_in_units(self.delay)} after the last run's end"
        return f"{words}, beginning {cron}" if cron else words

    def spec(self) -> dict[str, Any]:
        """Return `delay_seconds` and the crontab's own spec, either may be null."""
        seconds = None if self.delay is None else self.delay.total_seconds()
        whole = int(seconds) if seconds is not None and seconds == int(seconds) else seconds
        return {"delay_seconds": whole, "cron": self.cron.spec() if self.cron else None}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Return the chain of a `spec()`; raise RecurrenceError if it is none."""
        try:
            seconds, cron = spec["delay_seconds"], spec["cron"]
            delay = None if seconds is None else timedelta(seconds=seconds)
            return cls(delay, None if cron is None else Crontab.from_spec(cron))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RecurrenceError(
                "bad_spec", f"chain {spec!r}: give delay_seconds and cron"
            ) from error

    @property
    def cron_decides(self) -> bool:
        """Whether the crontab, and not the delay, says when the next run is due."""
        return self.cron is not None and (self.delay is None or _restricts_more(self.cron))


def _restricts_more(cron: Crontab) -> bool:
    """Whether a crontab says more than which minutes of an hour."""
    return any(
        field.expand(getattr(cron, name)) != field.expand("*")
        for name, field in RESTRICTING.items()
    )


def _in_units(delay: timedelta) -> str:
    """Return for example "2 minutes"."""
    for unit, name in UNITS:
        if delay % unit == timedelta(0):
            return f"{delay // unit} {name}" + ("s" if delay > unit else "")
    return f"{delay.total_seconds()} seconds"
