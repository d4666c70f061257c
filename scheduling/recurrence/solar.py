"""Sunrise, dusk, noon: what the sun does at a place, on the days on which it does it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from scheduling.recurrence.contract import RecurrenceError, instant_of, second_of
from scheduling.recurrence.local_time import EARLIEST, LATEST
from scheduling.recurrence.sun import EVENTS, day_of, ephem, event_of_day

DECIMALS = 6  # as many as django-celery-beat keeps, a tenth of a metre
# What the sun does not do within a leap cycle, it never does at that place.
RAREST_DAYS = 4 * 366
STEEPEST_SUN = 24.5  # degrees: never further from the equator, with a degree to spare


@dataclass(frozen=True, slots=True)
class Solar:
    """The event and place of django-celery-beat's SolarSchedule: degrees, north and east positive.

    In a polar day or night there is no such event, and no tick.
    """

    event: str
    latitude: float
    longitude: float
    kind: ClassVar[str] = "solar"

    def __post_init__(self) -> None:
        if self.event not in EVENTS:
            raise RecurrenceError(
                "bad_solar_event", f"event={self.event!r}: use one of {', '.join(EVENTS)}"
            )
        object.__setattr__(self, "latitude", _degrees("latitude", self.latitude, 90))
        object.__setattr__(self, "longitude", _degrees("longitude", self.longitude, 180))
        ephem()

    def next_after(self, after: datetime) -> datetime | None:
        """Return the first event later than `after`, None where the sun never does it."""
        start = max(second_of(after), EARLIEST)
        day = self._day(start) - 1
        found = (self._on(number) for number in range(day, day + RAREST_DAYS))
        tick = next((tick for tick in found if tick is not None and tick > start), None)
        return None if tick is None or tick > LATEST else instant_of(tick)

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """Return the newest event of (after, until]."""
        start, end = self._window(after, until)
        last = self._day(end) + 1
        first = max(self._day(start) - 1, last - RAREST_DAYS)
        for number in range(last, first - 1, -1):
            tick = self._on(number)
            if tick is not None and start < tick <= end:
                return instant_of(tick)
        return None

    def count(self, after: datetime, until: datetime) -> int:
        """Return the number of events; looks at each day only where the sun may leave one out."""
        start, end = self._window(after, until)
        if start >= end:
            return 0
        if self._happens_daily:
            return self._last_day_until(end) - self._last_day_until(start)
        return sum(1 for _ in self._ticks(start, end))

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the events of (after, until] in order."""
        yield from map(instant_of, self._ticks(*self._window(after, until)))

    def in_words(self) -> str:
        """Return for example "at sunrise (52.52, 13.405)"."""
        return f"at {EVENTS[self.event].words} ({self.latitude:g}, {self.longitude:g})"

    def spec(self) -> dict[str, Any]:
        """Return the three arguments."""
        return {"event": self.event, "latitude": self.latitude, "longitude": self.longitude}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Return the event of a `spec()`; raise RecurrenceError if it is none."""
        try:
            return cls(**spec)
        except TypeError as error:
            raise RecurrenceError(
                "bad_spec", f"solar {spec!r}: give event, latitude and longitude"
            ) from error

    @property
    def _happens_daily(self) -> bool:
        event = EVENTS[self.event]
        # Half a degree for the sun's upper edge.
        highest = abs(self.latitude) + STEEPEST_SUN + abs(event.horizon) + 0.5
        return event.rising is None or highest < 90  # noqa: PLR2004 the zenith

    def _window(self, after: datetime, until: datetime) -> tuple[int, int]:
        return max(second_of(after), EARLIEST), min(second_of(until), LATEST)

    def _day(self, second: int) -> int:
        return day_of(second, self.longitude)

    def _on(self, day: int) -> int | None:
        return event_of_day(self.event, self.latitude, self.longitude, day)

    def _ticks(self, start: int, end: int) -> Iterator[int]:
        if start >= end:
            return
        for number in range(self._day(start) - 1, self._day(end) + 2):
            tick = self._on(number)
            if tick is not None and start < tick <= end:
                yield tick

    def _last_day_until(self, second: int) -> int:
        """Return the last day whose event is not later than `second`, where every day has one."""
        near = self._day(second)
        for day in (near + 1, near):
            tick = self._on(day)
            if tick is not None and tick <= second:
                return day
        return near - 1


def _degrees(name: str, value: Any, limit: int) -> float:
    try:
        degrees = round(float(value), DECIMALS)
    except (TypeError, ValueError) as error:
        raise RecurrenceError(f"bad_{name}", f"{name}={value!r}: give degrees") from error
    if not -limit <= degrees <= limit:
        raise RecurrenceError(
            f"bad_{name}", f"{name}={value}: give degrees from -{limit} to {limit}"
        )
    return degrees
