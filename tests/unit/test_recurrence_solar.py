"""What the sun does, by example: places, polar days and nights, what is refused."""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduling.recurrence import RecurrenceError, Solar, from_spec
from scheduling.recurrence.sun import EVENTS

BERLIN = (52.52, 13.405)
TROMSOE = (69.65, 18.96)
DAY = timedelta(days=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        # The almanac of timeanddate.com for Berlin, 2026-06-21, less two hours of summer time.
        ("sunrise", "2026-06-21 02:43"),
        ("solar_noon", "2026-06-21 11:08"),
        ("sunset", "2026-06-21 19:33"),
        ("dawn_civil", "2026-06-21 01:53"),
        ("dusk_civil", "2026-06-21 20:24"),
    ],
)
def test_the_sun_keeps_to_the_almanac(event: str, expected: str) -> None:
    tick = Solar(event, *BERLIN).next_after(utc("2026-06-21 00:00"))
    assert tick is not None
    assert abs(tick - utc(expected)) <= timedelta(minutes=1)


def test_a_tick_is_the_same_instant_from_wherever_it_is_looked_for() -> None:
    job = Solar("sunset", *BERLIN)
    tick = job.next_after(utc("2026-03-01 00:00"))
    assert tick is not None
    for hours in range(1, 20):
        assert job.next_after(tick - timedelta(hours=hours, milliseconds=7)) == tick
        assert job.latest(tick - DAY, tick + timedelta(hours=hours)) == tick
    assert job.next_after(tick) != tick
    assert job.count(tick - timedelta(microseconds=1), tick) == 1


def test_in_a_polar_night_the_sun_does_not_rise_and_nothing_runs() -> None:
    job = Solar("sunrise", *TROMSOE)
    assert job.count(utc("2025-12-01 00:00"), utc("2026-01-10 00:00")) == 0
    tick = job.next_after(utc("2025-12-01 00:00"))
    assert tick is not None
    assert utc("2026-01-13 00:00") < tick < utc("2026-01-18 00:00")
    assert job.latest(utc("2025-06-01 00:00"), utc("2026-01-10 00:00")) == job.latest(
        utc("2025-11-20 00:00"), utc("2025-11-30 00:00")
    )


def test_in_a_polar_day_the_sun_does_not_set() -> None:
    job = Solar("sunset", *TROMSOE)
    assert list(job.between(utc("2026-06-01 00:00"), utc("2026-07-15 00:00"))) == []


def test_where_it_never_gets_dark_enough_there_is_never_a_tick() -> None:
    job = Solar("sunrise", 90, 0)
    assert job.next_after(utc("2026-01-01 00:00")) is None
    assert job.latest(utc("2026-01-01 00:00"), utc("2046-01-01 00:00")) is None


@pytest.mark.parametrize("longitude", [-180, -179.999999, 0, 179.999999, 180])
def test_every_day_has_one_noon_on_both_sides_of_the_date_line(longitude: float) -> None:
    job = Solar("solar_noon", -17, longitude)
    after = utc("2026-01-01 06:00")
    assert job.count(after, after + 365 * DAY) == 365
    assert len(list(job.between(after, after + 365 * DAY))) == 365


def test_centuries_are_counted_without_looking_at_each_day() -> None:
    job = Solar("sunrise", *BERLIN)
    first = utc("1600-06-01 12:00")
    assert job.count(first, first + 100_000 * DAY) == 100_000


def test_the_ends_of_the_calendar_are_no_trap() -> None:
    job = Solar("sunset", *BERLIN)
    first, last = utc("0001-01-01 00:00"), utc("9999-12-31 23:59:59")
    assert job.next_after(last) is None
    assert job.next_after(first) is not None
    assert job.latest(first, last) is not None
    assert job.count(last, first) == 0
    assert list(job.between(last, first)) == []


@pytest.mark.parametrize(
    ("event", "latitude", "longitude", "code"),
    [
        ("moonrise", 0, 0, "bad_solar_event"),
        ("sunrise", 90.1, 0, "bad_latitude"),
        ("sunrise", 0, -180.5, "bad_longitude"),
        ("sunrise", float("nan"), 0, "bad_latitude"),
        ("sunrise", None, 0, "bad_latitude"),
        ("sunrise", "north", 0, "bad_latitude"),
    ],
)
def test_a_place_or_event_that_is_none_is_refused_by_name(
    event: str, latitude: Any, longitude: Any, code: str
) -> None:
    with pytest.raises(RecurrenceError) as refused:
        Solar(event, latitude, longitude)
    assert refused.value.code == code


def test_without_ephem_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ephem", None)
    with pytest.raises(RecurrenceError, match="--extra solar") as refused:
        Solar("sunrise", *BERLIN)
    assert refused.value.code == "ephem_missing"


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_a_spec_survives_json_exactly(event: str) -> None:
    job = Solar(event, 52.5200066, -13.404954)
    again = from_spec("solar", json.loads(json.dumps(job.spec())))
    assert again == job
    assert hash(again) == hash(job)


@pytest.mark.parametrize("spec", [{}, {"event": "sunrise"}, {"event": "sunrise", "lat": 1}])
def test_a_spec_that_is_none_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(RecurrenceError) as refused:
        from_spec("solar", spec)
    assert refused.value.code == "bad_spec"


def test_an_event_is_told_in_words() -> None:
    assert Solar("dawn_nautical", *BERLIN).in_words() == "at nautical dawn (52.52, 13.405)"
