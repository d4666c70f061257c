"""Solar events against Celery's own, and against their own answers."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import radians
from typing import Any

import ephem
from celery.schedules import solar
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduling.recurrence import Solar
from scheduling.recurrence.sun import EVENTS

A_MINUTE_IN_DAYS = 1 / 1440

any_place = st.tuples(
    st.sampled_from(sorted(EVENTS)), st.floats(-90, 90), st.floats(-180, 180)
)  # fmt: skip
any_instant = st.datetimes(
    datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001 bounds
)  # fmt: skip


@settings(max_examples=60)
@example("dawn_nautical", 86, 35, datetime(2032, 1, 1, tzinfo=UTC))  # 1.06 s, on its first day
@example("dawn_astronomical", -87, -86, datetime(2035, 7, 1, tzinfo=UTC))  # 13 s, half an arcsecond
@given(
    event=st.sampled_from(sorted(EVENTS)),
    latitude=st.integers(-88, 88),
    longitude=st.integers(-180, 180),
    after=any_instant,
)
def test_every_event_is_celerys_to_the_second(
    event: str, latitude: int, longitude: int, after: datetime
) -> None:
    until = after + timedelta(days=60)
    date: Any = ephem.Date  # type: ignore[attr-defined] # published without types
    theirs: Any = solar(event, latitude, longitude)  # type: ignore[arg-type] # one of its literals
    at, expected = date(after.replace(tzinfo=None)), []
    while (at := theirs._next_event(at)).datetime().replace(tzinfo=UTC) < until:  # noqa: SLF001 its door rounds to now
        expected.append(at.datetime().replace(tzinfo=UTC))
        at = date(at + A_MINUTE_IN_DAYS)  # or ephem finds the same event again, 10 ms later

    ours = list(Solar(event, latitude, longitude).between(after, until))

    second = timedelta(seconds=1)
    edge = {tick for tick in (*ours, *expected) if min(tick - after, until - tick) < second}
    ours = [tick for tick in ours if tick not in edge]
    expected = [tick for tick in expected if tick not in edge]
    assert len(ours) == len(expected)
    for number, (one, other) in enumerate(zip(ours, expected, strict=True)):
        near = abs(one - other) <= second
        assert near or (touches(ours, number) and is_as_high((latitude, longitude), one, other))


def touches(ticks: list[datetime], number: int) -> bool:
    """Whether the sun only just does it that day: the one before, or the next, has no such event.

    There it moves along its horizon, and ephem's answer depends on where its search begins.
    """
    around = ticks[max(0, number - 1) : number + 2]
    return len(around) < 3 or max(b - a for a, b in pairwise(around)) > timedelta(hours=36)


def is_as_high(place: tuple[int, int], one: datetime, other: datetime) -> bool:
    """Whether the sun stands as high at both moments, to an arcsecond: it may take a minute."""
    heights = []
    for moment in (one, other):
        observer: Any = ephem.Observer()
        observer.lat, observer.lon = map(radians, place)
        observer.elev, observer.pressure = 0, 0
        observer.date = moment.replace(tzinfo=None)
        heights.append(ephem.Sun(observer).alt)  # type: ignore[attr-defined] # without types
    return bool(abs(heights[0] - heights[1]) <= radians(1 / 3600))


@settings(max_examples=150)
@given(
    place=any_place,
    after=any_instant,
    width=st.integers(0, 45 * 86_400).map(lambda seconds: timedelta(seconds=seconds)),
    share=st.floats(0, 1),
)
def test_the_four_questions_agree(
    place: tuple[str, float, float], after: datetime, width: timedelta, share: float
) -> None:
    job = Solar(*place)
    until, middle = after + width, after + share * width

    ticks = list(job.between(after, until))

    assert all(earlier < later for earlier, later in pairwise([after, *ticks]))
    assert not ticks or ticks[-1] <= until
    assert job.count(after, until) == len(ticks)
    assert job.count(after, middle) + job.count(middle, until) == len(ticks)
    assert job.latest(after, until) == (ticks[-1] if ticks else None)
    following = job.next_after(after)
    assert following == ticks[0] if ticks else following is None or following > until
    assert all(job.next_after(tick) == later for tick, later in pairwise(ticks))
