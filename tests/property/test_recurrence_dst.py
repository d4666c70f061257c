"""Crontabs against two references: the wall clock read minute by minute, and their own answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import islice, pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.recurrence import Crontab

MINUTE = timedelta(minutes=1)
AROUND = timedelta(hours=36)
MARGIN = timedelta(hours=30)  # the largest gap is a day


@dataclass(frozen=True)
class Transition:
    """A change of the clock, and what the clock shows around it."""

    zone: ZoneInfo
    at: datetime
    gap: timedelta

    @cached_property
    def clock(self) -> list[tuple[datetime, datetime]]:
        """Every UTC minute around the transition with its wall time."""
        first = self.at - AROUND - MARGIN
        minutes = (first + n * MINUTE for n in range(int(2 * (AROUND + MARGIN) / MINUTE)))
        return [(utc, utc.astimezone(self.zone).replace(tzinfo=None)) for utc in minutes]

    @cached_property
    def first_shown(self) -> dict[datetime, datetime]:
        """The first instant at which each wall time is shown."""
        return {wall: utc for utc, wall in reversed(self.clock)}


def distinct_transitions() -> Iterator[Transition]:
    """Every kind of clock change of the IANA database from 2025 to 2028."""
    seen = set()
    days = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=6 * n) for n in range(4 * 1461 + 1)]
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        offsets = [offset(day, zone) for day in days]
        for (day, before), (_, behind) in pairwise(zip(days, offsets, strict=True)):
            if before == behind:
                continue
            at = next(
                day + n * MINUTE for n in range(361) if offset(day + n * MINUTE, zone) == behind
            )
            key = before, behind, at.astimezone(zone).time(), at.weekday()
            if key not in seen:
                seen.add(key)
                yield Transition(zone, at, behind - before)


def offset(utc: datetime, zone: ZoneInfo) -> timedelta:
    return utc.astimezone(zone).utcoffset() or timedelta(0)


def crontabs(transition: Transition) -> Iterator[Crontab]:
    """Schedules that meet the transition in every way that differs."""
    zone = transition.zone.key
    wall = transition.at.astimezone(transition.zone)
    weekday = str((transition.at + min(transition.gap, timedelta(0))).isoweekday() % 7)
    for minute, hour in (
        ("0", "0"), ("0", "9"), ("30", "2"), ("30", "23"), ("0,30", "0-4"), ("5,45", "21-23"),
        ("0-59", "0-23"), (str(wall.minute), str(wall.hour)), ("0,15", f"0,{wall.hour}"),
        ("*", "*"), ("*/15", "*"), ("30", "*"), ("0", "*/2"), ("*/20", "2"), ("*", str(wall.hour)),
    ):  # fmt: skip
        yield Crontab(minute, hour, zone=zone)
        yield Crontab(minute, hour, day_of_week=weekday, zone=zone)
        yield Crontab(minute, hour, day_of_month=str(wall.day), zone=zone)


def shown_by_the_clock(job: Crontab, transition: Transition) -> list[datetime]:
    """SPEC A5 for wildcards: each real minute whose wall clock matches."""
    return [utc for utc, wall in transition.clock if matches(job, wall)]


def once_per_date(job: Crontab, transition: Transition) -> list[datetime]:
    """SPEC A5 for fixed times: each wall time once, in a gap moved by the gap's length."""
    low, high = transition.clock[0][1].date(), transition.clock[-1][1].date()
    ticks = set()
    for ordinal in range(low.toordinal() + 1, high.toordinal()):
        midnight = datetime.combine(date.fromordinal(ordinal), datetime.min.time())
        if not on_date(job, midnight):
            continue
        for wall in (midnight + n * MINUTE for n in range(1440)):
            if matches(job, wall):
                shown = transition.first_shown
                ticks.add(shown[wall] if wall in shown else shown[wall + transition.gap])
    return sorted(ticks)


def matches(job: Crontab, wall: datetime) -> bool:
    return (
        wall.minute in numbers(job.minute, 60)
        and wall.hour in numbers(job.hour, 24)
        and on_date(job, wall)
    )


def on_date(job: Crontab, wall: datetime) -> bool:
    weekday = wall.isoweekday() % 7
    return weekday in numbers(job.day_of_week, 7) and wall.day in numbers(job.day_of_month, 32)


_numbers: dict[tuple[str, int], frozenset[int]] = {}


def numbers(text: str, stop: int) -> frozenset[int]:
    """Return what `*`, `*/n`, lists and rising ranges mean, worked out apart from Celery."""
    if (text, stop) not in _numbers:
        found: set[int] = set()
        for part in text.split(","):
            span, _, step = part.partition("/")
            low, _, high = span.partition("-")
            all_of_it = range(stop) if span == "*" else range(int(low), int(high or low) + 1)
            found.update(all_of_it[:: int(step or 1)])
        _numbers[text, stop] = frozenset(found)
    return _numbers[text, stop]


@pytest.fixture(scope="module")
def transitions() -> list[Transition]:
    found = list(distinct_transitions())
    assert any(t.gap > timedelta(0) for t in found)
    assert any(t.gap < timedelta(0) for t in found)
    return found


def test_every_clock_change_of_the_world_is_honoured(transitions: list[Transition]) -> None:
    for transition in transitions:
        after, until = transition.at - AROUND, transition.at + AROUND
        for job in crontabs(transition):
            wildcard = "*" in job.minute or "*" in job.hour
            reference = (shown_by_the_clock if wildcard else once_per_date)(job, transition)
            expected = [tick for tick in reference if after < tick <= until]
            assert list(job.between(after, until)) == expected, (job, transition.at)
            assert job.count(after, until) == len(expected), (job, transition.at)
            assert job.latest(after, until) == (expected[-1] if expected else None), job
            assert not expected or job.next_after(after) == expected[0], (job, transition.at)
            assert_split_at(transition.at, job, expected, after, until)


def assert_split_at(
    at: datetime, job: Crontab, expected: list[datetime], after: datetime, until: datetime
) -> None:
    """Planning stops anywhere, in the very second of the change too."""
    before = [tick for tick in expected if tick <= at]
    behind = expected[len(before) :]
    assert (job.count(after, at), job.count(at, until)) == (len(before), len(behind)), (job, at)
    assert job.latest(after, at) == (before[-1] if before else None), (job, at)
    assert job.latest(at, until) == (behind[-1] if behind else None), (job, at)
    assert not behind or job.next_after(at) == behind[0], (job, at)


def field(first: int, last: int) -> st.SearchStrategy[str]:
    number = st.integers(first, last)
    part = st.one_of(
        number.map(str),
        st.tuples(number, number).map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.just("*"),
        st.integers(2, 20).map(lambda step: f"*/{step}"),
    )
    return st.lists(part, min_size=1, max_size=3).map(",".join)


ZONES = (
    "UTC", "Asia/Seoul", "Europe/Berlin", "America/New_York", "America/Nuuk", "Asia/Gaza",
    "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Cairo", "America/Havana", "Pacific/Apia",
    "Antarctica/Troll", "Asia/Kathmandu", "Pacific/Chatham",
)  # fmt: skip
any_crontab = st.builds(
    Crontab,
    minute=field(0, 59),
    hour=field(0, 23),
    day_of_week=st.one_of(st.just("*"), field(0, 7)),
    day_of_month=st.one_of(st.just("*"), field(1, 31)),
    month_of_year=st.one_of(st.just("*"), field(1, 12)),
    zone=st.sampled_from(ZONES),
)
any_instant = st.datetimes(
    datetime(2011, 12, 1), datetime(2031, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001 bounds
)  # fmt: skip
any_window = st.integers(0, 45 * 86_400_000).map(lambda ms: timedelta(milliseconds=ms))


@settings(max_examples=300, deadline=None)
@given(job=any_crontab, after=any_instant, width=any_window, share=st.floats(0, 1))
def test_the_four_questions_agree(
    job: Crontab, after: datetime, width: timedelta, share: float
) -> None:
    until, middle = after + width, after + share * width

    ticks = list(job.between(after, until))

    assert all(earlier < later for earlier, later in pairwise([after, *ticks]))
    assert not ticks or ticks[-1] <= until
    assert job.count(after, until) == len(ticks)
    assert job.count(after, middle) + job.count(middle, until) == len(ticks)
    assert job.latest(after, until) == (ticks[-1] if ticks else None)
    following = job.next_after(after)
    assert following == ticks[0] if ticks else following is None or following > until
    for tick, later in islice(pairwise(ticks), 20):
        assert job.next_after(tick) == later


@settings(max_examples=200, deadline=None)
@given(job=any_crontab, after=any_instant)
def test_the_next_tick_is_the_first_of_its_window(job: Crontab, after: datetime) -> None:
    following = job.next_after(after)
    if following is None:
        assert job.count(after, after + timedelta(days=366 * 12)) == 0
    else:
        assert list(job.between(after, following)) == [following]
        assert job.latest(after, following) == following
