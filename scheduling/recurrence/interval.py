"""Every so often, on a grid that no run time shifts (SPEC A2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

from scheduling.recurrence.contract import RecurrenceError

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(days=36_525)
UNITS = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
    (timedelta(seconds=1), "second"),
)


@dataclass(frozen=True, slots=True)
class Interval:
    """Ticks at anchor + n × every, n ≥ 1: the anchor itself is not one."""

    anchor: datetime
    every: timedelta
    kind: ClassVar[str] = "interval"

    def __post_init__(self) -> None:
        if not SHORTEST <= self.every <= LONGEST:
            raise RecurrenceError(
                "bad_interval", f"every={self.every}: give 1 second to 100 years between two ticks"
            )
        if self.anchor.tzinfo is None:
            raise RecurrenceError(
                "bad_anchor", f"anchor={self.anchor}: give it a zone, such as +00:00"
            )
        object.__setattr__(self, "anchor", self.anchor.astimezone(UTC))

    def next_after(self, after: datetime) -> datetime | None:
        """Return the first tick later than `after`, None beyond the end of the calendar."""
        try:
            return self._tick(self._ticks_until(after) + 1)
        except OverflowError:
            return None

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """Return the newest tick of (after, until]."""
        newest = self._ticks_until(until)
        return self._tick(newest) if newest > self._ticks_until(after) else None

    def count(self, after: datetime, until: datetime) -> int:
        """Return the number of ticks in (after, until]."""
        return max(0, self._ticks_until(until) - self._ticks_until(after))

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the ticks of (after, until] in order."""
        for number in range(self._ticks_until(after) + 1, self._ticks_until(until) + 1):
            yield self._tick(number)

    def in_words(self) -> str:
        """Return for example "every 15 seconds" or "every hour"."""
        for unit, name in UNITS:
            if self.every % unit == timedelta(0):
                number = self.every // unit
                return f"every {name}" if number == 1 else f"every {number} {name}s"
        return f"every {self.every.total_seconds()} seconds"

    def spec(self) -> dict[str, Any]:
        """Return `anchor` in ISO 8601 and `every_seconds`."""
        seconds = self.every.total_seconds()
        whole = int(seconds)
        return {
            "anchor": self.anchor.isoformat(),
            "every_seconds": whole if whole == seconds else seconds,
        }

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Return the interval of a `spec()`; raise RecurrenceError if it is none."""
        try:
            anchor, seconds = datetime.fromisoformat(spec["anchor"]), spec["every_seconds"]
            return cls(anchor, timedelta(seconds=seconds))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RecurrenceError(
                "bad_spec", f"interval {spec!r}: give anchor (ISO 8601) and every_seconds"
            ) from error

    def _ticks_until(self, instant: datetime) -> int:
        return max(0, (instant - self.anchor) // self.every)

    def _tick(self, number: int) -> datetime:
        return self.anchor + number * self.every
