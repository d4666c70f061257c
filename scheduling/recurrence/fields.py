"""The five fields of a crontab, expanded by Celery, so that they mean what its users expect."""

import re
from dataclasses import dataclass
from functools import lru_cache

from celery.schedules import ParseException, crontab_parser

from scheduling.recurrence.contract import RecurrenceError

MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
WEEKDAYS = "sun|mon|tue|wed|thu|fri|sat"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its first and last number, and the names that may stand for numbers.

    With `again`, the number after the last stands for the first.
    """

    name: str
    first: int
    last: int
    names: str = ""
    again: bool = False

    def expand(self, text: str) -> frozenset[int]:
        """Return the numbers `text` stands for; raise RecurrenceError naming field and remedy."""
        try:
            return frozenset(number for part in text.split(",") for number in self._numbers(part))
        except (ParseException, ValueError, TypeError, AttributeError) as error:
            raise RecurrenceError(
                "bad_crontab_field",
                f"{self.name}={text!r}: use {self.first}-{self.last}, '*', a list 'a,b',"
                " a range 'a-b' or a step '*/n'",
            ) from error

    def _numbers(self, part: str) -> set[int]:
        part = part.strip()
        # Celery matches prefixes only: it takes 1-5-7 for 1-5, and the month "may" for weekday 5.
        one = rf"(?:\d{{1,4}}|(?:{self.names})[a-z]*)" if self.names else r"\d{1,4}"
        if not re.fullmatch(
            rf"(?:\*|{one}(?:-{one})?)(?:/\d{{1,4}})?", part, re.ASCII | re.IGNORECASE
        ):
            raise ValueError(part)
        last = self.last + (self.again and str(self.last + 1) in part)
        numbers = crontab_parser(last - self.first + 1, self.first).parse(part)
        return {self.first if number > self.last else number for number in numbers}


MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY_OF_MONTH = Field("day_of_month", 1, 31)
MONTH_OF_YEAR = Field("month_of_year", 1, 12, MONTHS)
# django-celery-beat says that Sunday is 0 or 7; Celery itself refuses 7.
DAY_OF_WEEK = Field("day_of_week", 0, 6, WEEKDAYS, again=True)


@lru_cache(maxsize=4096)
def seconds_of_day(minute: str, hour: str) -> tuple[int, ...]:
    """Return the wall times of a day in seconds, sorted; shared by all who write them like this."""
    minutes, hours = sorted(MINUTE.expand(minute)), sorted(HOUR.expand(hour))
    return tuple(h * 3600 + m * 60 for h in hours for m in minutes)
