"""Whatever the situation: every due tick has exactly one verdict."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheduling.recurrence import Crontab, Interval
from scheduling.states import SkipReason
from scheduling.verdicts import MOST_RUNS_AT_ONCE, Situation, judge

START = datetime(2026, 3, 1, tzinfo=UTC)
RECURRENCES = st.one_of(
    st.integers(1, 4_000).map(lambda n: Interval(START, timedelta(seconds=n))),
    st.sampled_from(["* * * * *", "*/7 3-5 * * *", "30 2 * * *", "0 0 1 * *"]).map(
        lambda text: Crontab(
            **dict(
                zip(
                    ("minute", "hour", "day_of_month", "month_of_year", "day_of_week"),
                    text.split(),
                    strict=True,
                )
            ),
            zone="Europe/Berlin",
        )
    ),
)
SITUATIONS = st.builds(
    lambda offset, length, lateness, **given: Situation(
        after=START + timedelta(seconds=offset),
        until=START + timedelta(seconds=offset + length),
        now=START + timedelta(seconds=offset + length + lateness),
        **given,
    ),
    offset=st.integers(0, 5_000_000),
    length=st.integers(1, 20_000),
    lateness=st.sampled_from([0, 1, 59, 61, 7_200]),
    misfire=st.sampled_from(["skip", "once", "all"]),
    overlap=st.sampled_from(["skip", "queue"]),
    grace=st.integers(0, 4_000).map(lambda n: timedelta(seconds=n)),
    catch_up_window=st.integers(1, 100_000).map(lambda n: timedelta(seconds=n)),
    free_slots=st.integers(-2, 5),
    stopped=st.sampled_from([None, None, SkipReason.PAUSED, SkipReason.BREAKER_OPEN]),
)


@given(recurrence=RECURRENCES, situation=SITUATIONS)
def test_runs_and_spans_are_a_partition_of_the_due_ticks(
    recurrence: Interval | Crontab, situation: Situation
) -> None:
    verdicts = judge(recurrence, situation)
    skipped = [
        tick for span in verdicts.spans for tick in recurrence.between(span.after, span.until)
    ]
    assert sorted(verdicts.runs + skipped) == list(
        recurrence.between(situation.after, verdicts.until)
    )
    assert verdicts.until == situation.until or len(verdicts.runs) >= MOST_RUNS_AT_ONCE
    assert all(span.count == recurrence.count(span.after, span.until) for span in verdicts.spans)


@given(recurrence=RECURRENCES, situation=SITUATIONS)
def test_a_catch_up_of_once_never_drops_the_newest_tick_for_an_older_one(
    recurrence: Interval | Crontab, situation: Situation
) -> None:
    verdicts = judge(recurrence, replace(situation, misfire="once"))
    if verdicts.runs:
        assert verdicts.runs[-1] == recurrence.latest(situation.after, verdicts.until)


@given(recurrence=RECURRENCES, situation=SITUATIONS)
def test_judged_until_nothing_is_left_every_tick_of_the_window_of_all_has_its_run(
    recurrence: Interval | Crontab, situation: Situation
) -> None:
    rest = replace(situation, misfire="all", overlap="queue", stopped=None)
    runs: list[datetime] = []
    while rest.after < rest.until:
        verdicts = judge(recurrence, rest)
        runs += verdicts.runs
        rest = replace(rest, after=verdicts.until)
    begin = max(situation.after, min(situation.now - situation.catch_up_window, situation.until))
    assert runs == list(recurrence.between(begin, situation.until))
