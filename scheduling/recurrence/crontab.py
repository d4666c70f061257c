"""Five fields on the wall clock of a zone, through every change of that clock (SPEC A5)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from cron_descriptor import ExpressionDescriptor, FormatException, Options

from scheduling.recurrence.contract import RecurrenceError, instant_of, second_of
from scheduling.recurrence.fields import seconds_of_day
from scheduling.recurrence.local_time import (
    EARLIEST,
    LATEST,
    Piece,
    known_zone,
    pieces,
    pieces_backwards,
)
from scheduling.recurrence.wall import DAY, Wall, days_of

ARGUMENTS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year", "zone")
# Walls are at most a day off UTC, and a gap moves a tick by at most another.
REACH_DAYS = 2


@dataclass(frozen=True, slots=True)
class Crontab:
    """The fields of django-celery-beat's CrontabSchedule and an IANA zone name.

    Fixed times run once per date; a `*` in minute or hour runs at each real minute that matches.
    """

    minute: str = "*"
    hour: str = "*"
    day_of_week: str = "*"
    day_of_month: str = "*"
    month_of_year: str = "*"
    zone: str = "UTC"
    kind: ClassVar[str] = "crontab"
    _wall: Wall = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        known_zone(self.zone)
        days = days_of(self.day_of_month, self.month_of_year, self.day_of_week)
        object.__setattr__(self, "_wall", Wall(days, seconds_of_day(self.minute, self.hour)))

    def next_after(self, after: datetime) -> datetime | None:
        """Return the first tick later than `after`; looks only around dates that match."""
        start = max(second_of(after) + 1, EARLIEST)
        while (
            start <= LATEST
            and (day := self._wall.days.next_from(start // DAY - REACH_DAYS)) is not None
        ):
            start = max(start, (day - REACH_DAYS) * DAY)
            end = start + 2 * REACH_DAYS * DAY
            for piece in pieces(self.zone, start, end, wildcard=self._wildcard):
                if (tick := self._first(piece)) is not None:
                    return instant_of(tick)
            start = end + 1
        return None

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """Return the newest tick of (after, until]."""
        window = second_of(after) + 1, second_of(until)
        for piece in pieces_backwards(self.zone, *window, wildcard=self._wildcard):
            if (tick := self._last(piece)) is not None:
                return instant_of(tick)
        return None

    def count(self, after: datetime, until: datetime) -> int:
        """Return the number of ticks in (after, until], in proportion to its months."""
        return sum(self._count(piece) for piece in self._pieces(after, until))

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the ticks of (after, until] in order."""
        for piece in self._pieces(after, until):
            yield from map(instant_of, self._ticks(piece))

    def in_words(self) -> str:
        """Return for example "at 09:00, Monday through Friday (Asia/Seoul)"."""
        dates = f"{self.day_of_month} {self.month_of_year} {self.day_of_week}"
        text = f"{self.minute} {self.hour} {dates}"
        try:
            words = ExpressionDescriptor(text, _english()).get_description()
        except FormatException:
            words = text
        words = words[:1].lower() + words[1:]
        return words if self.zone == "UTC" else f"{words} ({self.zone})"

    def spec(self) -> dict[str, Any]:
        """Return the six arguments."""
        return {name: getattr(self, name) for name in ARGUMENTS}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Return the crontab of a `spec()`; raise RecurrenceError if it is none."""
        try:
            return cls(**spec)
        except TypeError as error:
            raise RecurrenceError(
                "bad_spec",
                f"crontab {spec!r}: give minute, hour, day_of_week, day_of_month,"
                " month_of_year and zone",
            ) from error

    @property
    def _wildcard(self) -> bool:
        return "*" in self.minute or "*" in self.hour

    def _pieces(self, after: datetime, until: datetime) -> Iterator[Piece]:
        start, end = second_of(after) + 1, second_of(until)
        return pieces(self.zone, start, end, wildcard=self._wildcard)

    def _first(self, piece: Piece) -> int | None:
        ticks = (_seek(self._wall.first, piece, offset) for offset in piece.offsets)
        return min((tick for tick in ticks if tick is not None), default=None)

    def _last(self, piece: Piece) -> int | None:
        ticks = (_seek(self._wall.last, piece, offset) for offset in piece.offsets)
        return max((tick for tick in ticks if tick is not None), default=None)

    def _count(self, piece: Piece) -> int:
        if len(piece.offsets) == 1:
            return self._wall.count(piece.start + piece.offsets[0], piece.end + piece.offsets[0])
        return len(self._ticks(piece))

    def _ticks(self, piece: Piece) -> list[int]:
        """Equal instants are one tick, and a moved one takes its place in the order."""
        return sorted(
            {
                wall - offset
                for offset in piece.offsets
                for wall in self._wall.between(piece.start + offset, piece.end + offset)
            }
        )


def _seek(find: Callable[[int, int], int | None], piece: Piece, offset: int) -> int | None:
    wall = find(piece.start + offset, piece.end + offset)
    return None if wall is None else wall - offset


def _english() -> Options:
    """Not the locale of whoever started the process."""
    options = Options()
    options.locale_code = "en_US"
    options.use_24hour_time_format = True
    return options
