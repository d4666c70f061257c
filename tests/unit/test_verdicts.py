"""Which due ticks run, and which end with a reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

from scheduling.recurrence import Interval
from scheduling.states import SkipReason
from scheduling.verdicts import Situation, Verdicts, judge

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY_10_S = Interval(START, timedelta(seconds=10))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def judged(*, now: float, after: float = 0, **given: Any) -> Verdicts:
    return judge(EVERY_10_S, Situation(after=at(after), until=at(now), now=at(now), **given))


def reasons(verdicts: Verdicts) -> list[tuple[str, int]]:
    return [(span.reason.value, span.count) for span in verdicts.spans]


def test_a_tick_on_time_runs() -> None:
    verdicts = judged(now=10.2)
    assert verdicts.runs == [at(10)]
    assert verdicts.spans == []


def test_no_tick_is_due_between_two_ticks() -> None:
    verdicts = judged(after=10, now=19)
    assert (verdicts.runs, verdicts.spans) == ([], [])


def test_late_ticks_become_one_catch_up_run_of_the_newest() -> None:
    verdicts = judged(now=605, grace=timedelta(seconds=1))
    assert verdicts.runs == [at(600)]
    assert reasons(verdicts) == [("coalesced", 59)]


def test_a_catch_up_is_the_tick_on_time_if_there_is_one() -> None:
    verdicts = judged(now=600, grace=timedelta(seconds=60), free_slots=1)
    assert verdicts.runs == [at(600)]
    assert sum(count for _, count in reasons(verdicts)) == 59


def test_the_skip_policy_misses_what_is_later_than_the_grace() -> None:
    verdicts = judged(now=605, grace=timedelta(seconds=8), misfire="skip")
    assert verdicts.runs == [at(600)]
    assert reasons(verdicts) == [("missed", 59)]


def test_the_skip_policy_may_leave_nothing_to_run() -> None:
    verdicts = judged(now=609, grace=timedelta(seconds=5), misfire="skip")
    assert verdicts.runs == []
    assert reasons(verdicts) == [("missed", 60)]


def test_the_all_policy_runs_every_tick_of_its_window() -> None:
    half_a_minute, second = timedelta(seconds=30), timedelta(seconds=1)
    verdicts = judged(now=605, misfire="all", catch_up_window=half_a_minute, grace=second)
    assert verdicts.runs == [at(580), at(590), at(600)]
    assert reasons(verdicts) == [("missed", 57)]


def test_on_time_the_all_policy_queues_no_second_run() -> None:
    verdicts = judged(now=45, misfire="all", grace=timedelta(seconds=15), free_slots=0)
    assert verdicts.runs == [at(10), at(20), at(30)]
    assert reasons(verdicts) == [("overlap", 1)]


def test_what_is_caught_up_takes_the_slots_before_what_is_on_time() -> None:
    verdicts = judged(now=30, misfire="all", grace=timedelta(seconds=15), free_slots=2)
    assert verdicts.runs == [at(10), at(30)]
    assert reasons(verdicts) == [("coalesced", 1)]


def test_with_both_policies_what_is_on_time_queues_too() -> None:
    grace = timedelta(seconds=15)
    verdicts = judged(now=45, misfire="all", grace=grace, overlap="queue", free_slots=0)
    assert verdicts.runs == [at(10), at(20), at(30), at(40)]


def test_a_job_in_progress_skips_its_tick() -> None:
    verdicts = judged(now=10, free_slots=0)
    assert verdicts.runs == []
    assert reasons(verdicts) == [("overlap", 1)]


def test_overlap_queue_runs_every_tick_on_time() -> None:
    verdicts = judged(now=30, free_slots=0, overlap="queue")
    assert verdicts.runs == [at(10), at(20), at(30)]


def test_the_newest_ticks_take_the_free_slots() -> None:
    verdicts = judged(now=50, free_slots=2)
    assert verdicts.runs == [at(40), at(50)]
    assert reasons(verdicts) == [("coalesced", 3)]


def test_a_stopped_job_skips_everything_with_the_reason() -> None:
    verdicts = judged(now=50, stopped=SkipReason.PAUSED)
    assert verdicts.runs == []
    assert reasons(verdicts) == [("paused", 5)]


def test_more_than_one_planning_may_catch_up_is_left_to_the_next_the_oldest_first() -> None:
    verdicts = judged(now=605, misfire="all", most_catch_ups=3)
    assert verdicts.runs == [at(10), at(20), at(30)]
    assert (verdicts.until, verdicts.spans) == (at(30), [])


def test_a_year_of_missed_seconds_is_judged_without_walking_them() -> None:
    every_second = Interval(START, timedelta(seconds=1))
    year = timedelta(days=365)
    situation = Situation(after=START, until=START + year, now=START + year, misfire="all",
                          catch_up_window=timedelta(days=400))  # fmt: skip
    verdicts = judge(every_second, situation)
    assert verdicts.runs == [at(second) for second in range(1, 1_001)]
    assert (verdicts.until, verdicts.spans) == (at(1_000), [])
