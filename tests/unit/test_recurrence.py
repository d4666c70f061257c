"""Schedules by example: grids, calendars, changes of the clock, what is refused (SPEC A1 to A5)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.schedules import crontab

from scheduling.recurrence import (
    Clocked,
    Crontab,
    Interval,
    Recurrence,
    RecurrenceError,
    from_spec,
)

ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ticks(job: Recurrence, after: str, until: str) -> list[str]:
    found = job.between(utc(after), utc(until))
    return [tick.isoformat(sep=" ", timespec="minutes").removesuffix("+00:00") for tick in found]


def test_an_interval_stays_on_its_grid_and_its_anchor_is_no_tick() -> None:
    job = Interval(ANCHOR, timedelta(minutes=7))

    assert job.next_after(ANCHOR - DAY) == ANCHOR + timedelta(minutes=7)
    assert job.next_after(ANCHOR + timedelta(minutes=7)) == ANCHOR + timedelta(minutes=14)
    assert job.next_after(ANCHOR + timedelta(minutes=8)) == ANCHOR + timedelta(minutes=14)
    assert job.latest(ANCHOR - DAY, ANCHOR) is None
    assert job.latest(ANCHOR, ANCHOR + HOUR) == ANCHOR + timedelta(minutes=56)
    assert job.count(ANCHOR - DAY, ANCHOR + HOUR) == 8
    assert len(list(job.between(ANCHOR - DAY, ANCHOR + HOUR))) == 8
    assert job.count(ANCHOR + HOUR, ANCHOR) == 0


def test_an_interval_ends_where_the_calendar_ends() -> None:
    assert Interval(ANCHOR, DAY).next_after(datetime.max.replace(tzinfo=UTC)) is None


def test_a_clocked_job_has_one_tick_and_no_other() -> None:
    job = Clocked(ANCHOR)
    before = ANCHOR - timedelta(microseconds=1)

    assert job.next_after(before) == ANCHOR
    assert job.next_after(ANCHOR) is None
    assert job.latest(before, ANCHOR) == job.latest(before, ANCHOR + DAY) == ANCHOR
    assert job.latest(ANCHOR, ANCHOR + DAY) is None
    assert (job.count(before, ANCHOR), job.count(ANCHOR, ANCHOR + DAY)) == (1, 0)
    assert list(job.between(before, ANCHOR)) == [ANCHOR]
    assert list(job.between(ANCHOR, ANCHOR + DAY)) == []


def test_a_clocked_instant_needs_a_zone() -> None:
    with pytest.raises(RecurrenceError, match="zone"):
        Clocked(datetime(2026, 1, 1))  # noqa: DTZ001 the mistake under test


def test_a_weekday_job_has_no_tick_on_a_saturday() -> None:
    job = Crontab("0", "9", day_of_week="1-5")

    assert ticks(job, "2026-01-02 08:00", "2026-01-05 12:00") == [
        "2026-01-02 09:00", "2026-01-05 09:00",
    ]  # fmt: skip


def test_a_window_is_open_at_its_start_and_closed_at_its_end() -> None:
    job = Crontab("0", "*")

    assert ticks(job, "2026-01-01 00:00", "2026-01-01 02:00") == [
        "2026-01-01 01:00", "2026-01-01 02:00",
    ]  # fmt: skip
    assert job.next_after(utc("2026-01-01 00:59:59.999999")) == utc("2026-01-01 01:00")


def test_a_crontab_is_read_on_the_clock_of_its_zone() -> None:
    job = Crontab("30", "9", day_of_month="1", zone="Asia/Seoul")

    assert ticks(job, "2026-01-02 00:00", "2026-03-02 00:00") == [
        "2026-02-01 00:30", "2026-03-01 00:30",
    ]  # fmt: skip


def test_a_fixed_time_in_a_gap_moves_by_the_length_of_the_gap() -> None:
    job = Crontab("30", "2", zone="Europe/Berlin")

    assert ticks(job, "2026-03-28 12:00", "2026-03-30 12:00") == [
        "2026-03-29 01:30", "2026-03-30 00:30",
    ]  # fmt: skip


def test_a_moved_tick_that_meets_another_is_one_with_it() -> None:
    job = Crontab("30", "2,3", zone="Europe/Berlin")

    assert ticks(job, "2026-03-28 12:00", "2026-03-29 12:00") == ["2026-03-29 01:30"]
    assert job.count(utc("2026-03-28 12:00"), utc("2026-03-29 12:00")) == 1


def test_a_fixed_time_in_an_overlap_runs_in_the_first_pass_only() -> None:
    job = Crontab("30", "2", zone="Europe/Berlin")

    assert ticks(job, "2026-10-24 12:00", "2026-10-26 12:00") == [
        "2026-10-25 00:30", "2026-10-26 01:30",
    ]  # fmt: skip


def test_a_moved_tick_keeps_its_weekdays_right_on_the_next_date() -> None:
    job = Crontab("30", "23", day_of_week="6", zone="America/Nuuk")

    assert ticks(job, "2026-03-28 12:00", "2026-03-29 12:00") == ["2026-03-29 01:30"]


def test_a_date_that_was_left_out_moves_whole_onto_the_next() -> None:
    job = Crontab("0", "9", zone="Pacific/Apia")

    assert ticks(job, "2011-12-29 00:00", "2012-01-01 00:00") == [
        "2011-12-29 19:00", "2011-12-30 19:00", "2011-12-31 19:00",
    ]  # fmt: skip


def test_a_gap_may_reach_into_the_new_year() -> None:
    # Kiritimati left 1994-12-31 out; what was due on it runs a day later on its clock.
    job = Crontab("0", "20", day_of_month="31", zone="Pacific/Kiritimati")

    assert ticks(job, "1994-12-01 00:00", "1995-01-15 00:00") == ["1995-01-01 06:00"]


def test_a_wildcard_runs_in_both_passes_of_an_overlap_and_in_no_gap() -> None:
    half_hourly = Crontab("*/30", "2", zone="Europe/Berlin")

    assert ticks(half_hourly, "2026-03-29 00:00", "2026-03-29 12:00") == []
    assert ticks(half_hourly, "2026-10-25 00:00", "2026-10-25 12:00") == [
        "2026-10-25 00:30", "2026-10-25 01:00", "2026-10-25 01:30",
    ]  # fmt: skip


def test_a_star_within_a_list_makes_a_wildcard_and_a_full_range_does_not() -> None:
    window = utc("2026-10-25 00:00"), utc("2026-10-25 02:00")

    assert Crontab("0,*/30", "2", zone="Europe/Berlin").count(*window) == 3
    assert Crontab("0-59", "2", zone="Europe/Berlin").count(*window) == 59


def test_the_thirtieth_of_february_never_comes() -> None:
    job = Crontab("0", "0", day_of_month="30", month_of_year="2")

    assert job.next_after(ANCHOR) is None
    assert job.latest(ANCHOR, ANCHOR + 400 * DAY) is None
    assert job.count(ANCHOR, ANCHOR + 400 * DAY) == 0


@pytest.mark.parametrize(
    ("after", "expected"), [("2026-01-01", "2044-02-29"), ("2072-03-01", "2112-02-29")]
)
def test_a_leap_day_on_a_monday_is_found_however_far(after: str, expected: str) -> None:
    job = Crontab("0", "0", day_of_week="mon", day_of_month="29", month_of_year="feb")

    assert job.next_after(utc(after)) == utc(expected)


def test_the_ends_of_the_calendar_are_no_trap() -> None:
    job = Crontab("0", "0", zone="Asia/Seoul")
    first, last = utc("0001-01-01 00:00"), utc("9999-12-31 23:59:59")

    assert job.next_after(last) is None
    assert job.next_after(first) is not None
    assert job.latest(first, last) is not None
    assert job.count(last - DAY, last) == 0


@pytest.mark.parametrize(
    "fields",
    [
        ("*", "*", "*", "*", "*"),
        ("*/15", "0,8-17/2", "mon-fri", "1-7,15-21", "*/3"),
        ("1,13,30-45,50-59/2", "22-2", "sat-mon", "28-3", "jan,nov-feb"),
        ("0", "9", "Sunday", "1", "December"),
        ("*/70", "5", "*/2", "*/10", "2-12/2"),
    ],
)
def test_fields_mean_what_they_mean_to_celery(fields: tuple[str, str, str, str, str]) -> None:
    start = datetime(2027, 1, 1, tzinfo=UTC)
    theirs: Any = crontab(*fields)  # published without the types of its fields

    days = {
        day
        for day in (start + n * DAY for n in range(365))
        if day.month in theirs.month_of_year
        and day.day in theirs.day_of_month
        and day.isoweekday() % 7 in theirs.day_of_week
    }
    expected = sorted(
        day + timedelta(hours=hour, minutes=minute)
        for day in days
        for hour in theirs.hour
        for minute in theirs.minute
    )

    assert (
        list(Crontab(*fields).between(start - timedelta(seconds=1), start + 364.9999 * DAY))
        == expected
    )


@pytest.mark.parametrize(("seven", "zero"), [("7", "0"), ("5-7", "5,6,0"), ("1,7", "1,0")])
def test_sunday_is_zero_or_seven(seven: str, zero: str) -> None:
    window = ANCHOR, ANCHOR + 30 * DAY

    assert list(Crontab("0", "0", seven).between(*window)) == list(
        Crontab("0", "0", zero).between(*window)
    )


@pytest.mark.parametrize(
    "text", ["60", "1-5-7", "x", "*/0", "1/5", "", "1,,2", "-1", "5;", "jan", 5]
)
def test_a_bad_field_is_refused_by_name_with_the_remedy(text: Any) -> None:
    with pytest.raises(RecurrenceError, match=r"^minute=.*: use 0-59, .* '\*/n'$") as refused:
        Crontab(minute=text)

    assert refused.value.code == "bad_crontab_field"


@pytest.mark.parametrize(
    ("field", "text"),
    [("hour", "24"), ("day_of_week", "8"), ("day_of_week", "may"), ("day_of_month", "0"),
     ("day_of_month", "32"), ("month_of_year", "13"), ("month_of_year", "mon")],
)  # fmt: skip
def test_each_field_knows_its_own_numbers_and_names(field: str, text: str) -> None:
    with pytest.raises(RecurrenceError, match=f"^{field}="):
        Crontab(**{field: text})


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", None, "America"])
def test_an_unknown_zone_is_refused(zone: Any) -> None:
    with pytest.raises(RecurrenceError, match="IANA") as refused:
        Crontab(zone=zone)

    assert refused.value.code == "unknown_zone"


@pytest.mark.parametrize("every", [timedelta(0), timedelta(milliseconds=999), -HOUR, 40_000 * DAY])
def test_an_interval_out_of_range_is_refused(every: timedelta) -> None:
    with pytest.raises(RecurrenceError, match="1 second to 100 years"):
        Interval(ANCHOR, every)


def test_an_anchor_needs_a_zone() -> None:
    with pytest.raises(RecurrenceError, match="anchor"):
        Interval(datetime(2026, 1, 1), HOUR)  # noqa: DTZ001 the mistake under test


@pytest.mark.parametrize(
    "job",
    [
        Interval(ANCHOR, timedelta(minutes=5)),
        Interval(
            ANCHOR + timedelta(microseconds=1), timedelta(seconds=36_524 * 86_400, microseconds=3)
        ),
        Crontab("*/5", "9-17", "1-5", "*", "*", "Asia/Tokyo"),
        Crontab(),
        Clocked(ANCHOR + timedelta(microseconds=1)),
    ],
)
def test_a_spec_survives_json_exactly(job: Recurrence) -> None:
    again = from_spec(job.kind, json.loads(json.dumps(job.spec())))

    assert again == job
    assert hash(again) == hash(job)


@pytest.mark.parametrize(
    ("kind", "spec", "code"),
    [
        ("lunar", {}, "unknown_kind"),
        ("interval", {}, "bad_spec"),
        ("interval", {"anchor": "yesterday", "every_seconds": 5}, "bad_spec"),
        ("interval", {"anchor": "2026-01-01T00:00:00+00:00", "every_seconds": 0}, "bad_interval"),
        ("crontab", {"minutes": "5"}, "bad_spec"),
        ("crontab", {"minute": "60"}, "bad_crontab_field"),
        ("clocked", {}, "bad_spec"),
        ("clocked", {"at": "noon"}, "bad_spec"),
        ("clocked", {"at": "2026-01-01T00:00:00"}, "bad_instant"),
    ],
)
def test_a_spec_that_is_none_is_refused(kind: str, spec: dict[str, Any], code: str) -> None:
    with pytest.raises(RecurrenceError) as refused:
        from_spec(kind, spec)

    assert refused.value.code == code


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (Interval(ANCHOR, timedelta(seconds=15)), "every 15 seconds"),
        (Interval(ANCHOR, timedelta(minutes=5)), "every 5 minutes"),
        (Interval(ANCHOR, HOUR), "every hour"),
        (Interval(ANCHOR, 2 * DAY), "every 2 days"),
        (Interval(ANCHOR, timedelta(seconds=1.5)), "every 1.5 seconds"),
        (Crontab("*/5"), "every 5 minutes"),
        (Clocked(ANCHOR), "once, at 2026-01-01 00:00:00"),
        (
            Crontab("0", "9", "1-5", zone="Asia/Seoul"),
            "at 09:00, Monday through Friday (Asia/Seoul)",
        ),
    ],
)
def test_a_schedule_is_told_in_words(job: Recurrence, words: str) -> None:
    assert job.in_words() == words
