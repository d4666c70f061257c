"""Where the sun is: one event of one solar day at one place, by ephem (the extra `solar`).

The event of a day is computed from that day's noon and rounded to a second, so that it is the same
instant whoever asks and from whichever side: ephem's own "next" differs by some 10 ms with the
moment it starts from, which would make two ticks of one.
"""

from functools import lru_cache
from importlib import import_module
from math import radians
from types import ModuleType
from typing import NamedTuple

from scheduling.recurrence.contract import RecurrenceError

DAY = 86_400
EPHEM_EPOCH_DAYS = 25_567.5  # ephem counts days from 1899-12-31 12:00 UTC
SECONDS_PER_DEGREE = 240
# The sun's clock is at most 17 minutes ahead of or behind the mean one.
HALF_A_DAY_AND_A_BIT = DAY // 2 + 1_800


class Event(NamedTuple):
    """What to look for: the sun's height in degrees and its direction; as in Celery's `solar`."""

    words: str
    horizon: float
    rising: bool | None  # None: the sun's noon
    centre: bool = True  # of the disc; its upper edge otherwise


EVENTS = {
    "dawn_astronomical": Event("astronomical dawn", -18, rising=True),
    "dawn_nautical": Event("nautical dawn", -12, rising=True),
    "dawn_civil": Event("civil dawn", -6, rising=True),
    "sunrise": Event("sunrise", -34 / 60, rising=True, centre=False),
    "solar_noon": Event("solar noon", 0, rising=None),
    "sunset": Event("sunset", -34 / 60, rising=False, centre=False),
    "dusk_civil": Event("civil dusk", -6, rising=False),
    "dusk_nautical": Event("nautical dusk", -12, rising=False),
    "dusk_astronomical": Event("astronomical dusk", -18, rising=False),
}


def ephem() -> ModuleType:
    """Return the library; raise RecurrenceError with the remedy where it is not installed."""
    try:
        return import_module("ephem")
    except ImportError as error:
        raise RecurrenceError(
            "ephem_missing",
            "solar schedules need ephem: install the extra `solar`"
            " (`uv sync --extra solar`, or `pip install ephem`)",
        ) from error


def day_of(second: int, longitude: float) -> int:
    """Return the number of the mean solar day, at that longitude, in which a UTC second lies."""
    return int(second + longitude * SECONDS_PER_DEGREE) // DAY


@lru_cache(maxsize=4096)
def event_of_day(name: str, latitude: float, longitude: float, day: int) -> int | None:
    """Return the UTC second of the event of a solar day; None if the sun does not do it then."""
    library, event = ephem(), EVENTS[name]
    place = library.Observer()
    place.lat, place.lon = radians(latitude), radians(longitude)
    place.elev, place.pressure = 0, 0
    place.horizon = radians(event.horizon)
    sun = library.Sun()
    midnight = (day * DAY - longitude * SECONDS_PER_DEGREE) / DAY + EPHEM_EPOCH_DAYS
    noon = place.next_transit(sun, start=midnight)
    if event.rising is None:
        return _second_of(noon)
    search = place.previous_rising if event.rising else place.next_setting
    try:
        found = search(sun, start=noon, use_center=event.centre)
    except library.CircumpolarError:
        return None
    # Where the sun just touches the horizon at noon, ephem goes on to another day's event.
    of_this_day = abs(found - noon) * DAY <= HALF_A_DAY_AND_A_BIT
    return _second_of(found) if of_this_day else None


def _second_of(date: float) -> int:
    return round((date - EPHEM_EPOCH_DAYS) * DAY)
