"""A calendar on the wall: which dates and times match, as arithmetic, knowing of no zone.

A day is a number counted from 1970-01-01, a moment the number of seconds since then.
"""

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, date
from functools import lru_cache

from scheduling.recurrence.fields import DAY_OF_MONTH, DAY_OF_WEEK, MONTH_OF_YEAR

DAY = 86_400
FIRST_DAY = date(1970, 1, 1).toordinal()
THURSDAY = 3  # the weekday of 1970-01-01, Monday is 0
LAST_MONTH = MAXYEAR * 12 + 11
# A 29 February on a given weekday comes again within 40 years (2072 to 2112, as 2100 is no leap
# year); nothing that ever happens is rarer.
RAREST_MONTHS = 41 * 12


@dataclass(frozen=True, slots=True)
class Days:
    """The dates of a crontab: month, day and weekday must all match, as in Celery.

    A month is one integer, bit d − 1 for day d: finding and counting need no loop over days.
    """

    months: frozenset[int]
    of_month: int
    of_week: tuple[int, ...]  # by weekday of the first of the month, Monday first

    def __contains__(self, day: int) -> bool:
        when = date.fromordinal(day + FIRST_DAY)
        return bool(self._bits(when.year * 12 + when.month - 1) >> (when.day - 1) & 1)

    def next_from(self, day: int, limit: int | None = None) -> int | None:
        """Return the first matching day from `day` to `limit` (without: as rare as any can be)."""
        start, index = _place(day)
        last = index + RAREST_MONTHS if limit is None else _place(limit)[1]
        bits = self._bits(index) >> (day - start) << (day - start)
        while not bits and index < min(last, LAST_MONTH):
            index += 1
            bits = self._bits(index)
        found = _month(index)[0] + (bits & -bits).bit_length() - 1
        return found if bits and (limit is None or found <= limit) else None

    def last_until(self, day: int, limit: int) -> int | None:
        """Return the last matching day from `limit` to `day`."""
        start, index = _place(day)
        bits = self._bits(index) & ((2 << (day - start)) - 1)
        first = _place(limit)[1]
        while not bits and index > first:
            index -= 1
            bits = self._bits(index)
        found = _month(index)[0] + bits.bit_length() - 1
        return found if bits and found >= limit else None

    def count(self, first: int, last: int) -> int:
        """Return the number of matching days from `first` to `last`, both included."""
        if first > last:
            return 0
        (start, index), (last_start, last_index) = _place(first), _place(last)
        total = sum(self._bits(month).bit_count() for month in range(index, last_index + 1))
        before = self._bits(index) & ((1 << (first - start)) - 1)
        behind = self._bits(last_index) >> (last - last_start + 1)
        return total - before.bit_count() - behind.bit_count()

    def _bits(self, index: int) -> int:
        if index % 12 + 1 not in self.months:
            return 0
        start, length = _month(index)
        return self.of_month & self.of_week[(start + THURSDAY) % 7] & ((1 << length) - 1)


@dataclass(frozen=True, slots=True)
class Wall:
    """Matching dates, each with the same sorted times in seconds of the day."""

    days: Days
    times: tuple[int, ...]

    def first(self, start: int, end: int) -> int | None:
        """Return the first matching moment from `start` to `end`, both included."""
        day, second = divmod(start, DAY)
        if second > self.times[-1] or day not in self.days:
            found = self.days.next_from(day + 1, end // DAY)
            moment = end + 1 if found is None else found * DAY + self.times[0]
        else:
            moment = day * DAY + self.times[bisect_left(self.times, second)]
        return moment if moment <= end else None

    def last(self, start: int, end: int) -> int | None:
        """Return the last matching moment from `start` to `end`, both included."""
        day, second = divmod(end, DAY)
        if second < self.times[0] or day not in self.days:
            found = self.days.last_until(day - 1, start // DAY)
            moment = start - 1 if found is None else found * DAY + self.times[-1]
        else:
            moment = day * DAY + self.times[bisect_right(self.times, second) - 1]
        return moment if moment >= start else None

    def count(self, start: int, end: int) -> int:
        """Return the number of matching moments from `start` to `end`, both included."""
        if start > end:
            return 0
        (first_day, first), (last_day, last) = divmod(start, DAY), divmod(end, DAY)
        total = self.days.count(first_day, last_day) * len(self.times)
        if first_day in self.days:
            total -= bisect_left(self.times, first)
        if last_day in self.days:
            total -= len(self.times) - bisect_right(self.times, last)
        return total

    def between(self, start: int, end: int) -> Iterator[int]:
        """Yield the matching moments from `start` to `end`, both included, in order."""
        day = self.days.next_from(start // DAY, end // DAY)
        while day is not None:
            lower = bisect_left(self.times, start - day * DAY)
            upper = bisect_right(self.times, end - day * DAY)
            yield from (day * DAY + second for second in self.times[lower:upper])
            day = self.days.next_from(day + 1, end // DAY)


@lru_cache(maxsize=4096)
def days_of(day_of_month: str, month_of_year: str, day_of_week: str) -> Days:
    """Return the dates that three fields describe; raise RecurrenceError naming a bad one."""
    weekdays = DAY_OF_WEEK.expand(day_of_week)
    return Days(
        months=MONTH_OF_YEAR.expand(month_of_year),
        of_month=sum(1 << (day - 1) for day in DAY_OF_MONTH.expand(day_of_month)),
        of_week=tuple(
            sum(1 << bit for bit in range(31) if (first + bit + 1) % 7 in weekdays)
            for first in range(7)
        ),
    )


def _place(day: int) -> tuple[int, int]:
    """Return the first day of this day's month, and the month's index."""
    when = date.fromordinal(day + FIRST_DAY)
    return day - when.day + 1, when.year * 12 + when.month - 1


@lru_cache(maxsize=4096)
def _month(index: int) -> tuple[int, int]:
    """Return the first day of a month, and how many it has."""
    year, month = divmod(index, 12)
    return date(year, month + 1, 1).toordinal() - FIRST_DAY, monthrange(year, month + 1)[1]
