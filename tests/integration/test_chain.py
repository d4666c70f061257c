"""In queue mode the end of one planned run makes the next, and nothing else does (SPEC A8)."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.retry_runs import retry_runs
from scheduling.actions.trigger_run import trigger_run
from scheduling.clock import database_now
from scheduling.engine.chains.chain import follow
from scheduling.engine.plan import plan_due_jobs, plan_jobs
from scheduling.engine.recover import expire_waiting
from scheduling.engine.resolve import resolve_waiting
from scheduling.models import Job, JobStatus, Run, ScheduleEpoch
from scheduling.recurrence import Crontab
from scheduling.states import Outcome, RunState
from scheduling.transitions import lose, make_ready
from tests.chains import (
    MINUTE,
    WEEKDAYS_AT_NINE,
    due,
    end,
    make_chain,
    newest_link,
    start_due,
    tend,
)

SECOND = timedelta(seconds=1)

pytestmark = pytest.mark.django_db


def started(job: Job) -> tuple[Run, datetime]:
    """Have the newest link of a chain start when it is due."""
    now = due(newest_link(job))
    (run,) = start_due(now=now)
    return run, now


def test_the_first_link_waits_for_the_delay_and_holds_no_slot() -> None:
    before = database_now()
    job = make_chain()
    link = newest_link(job)
    assert before + MINUTE <= due(link) <= database_now() + MINUTE
    assert (link.state, link.not_before, link.attempt) == (RunState.PENDING, due(link), 0)
    assert not Run.objects.holding_slot().exists()
    assert job.next_due_at == due(link)


def test_a_weekday_job_does_not_start_when_it_is_created() -> None:
    job = make_chain(cron=WEEKDAYS_AT_NINE, delay=timedelta(days=1))
    tick = due(newest_link(job))
    assert (tick.hour, tick.minute, tick.weekday() < 5) == (9, 0, True)
    assert start_due(now=database_now()) == []
    assert plan_due_jobs("real", now=tick) == 0
    assert resolve_waiting("real", now=tick) == 0
    assert [run.pk for run in start_due(now=tick)] == [newest_link(job).pk]


def test_the_delay_runs_from_the_end_not_from_the_start() -> None:
    run, now = started(make_chain())
    ended = now + timedelta(minutes=7)
    (link,) = end(run, now=ended)
    assert (due(link), link.state) == (ended + MINUTE, RunState.PENDING)


def test_every_five_minutes_with_an_interval_of_two_goes_on_every_two() -> None:
    """A scanner with both, five minutes and two: the two count."""
    job = make_chain("mock-buy-scanner", cron=Crontab("*/5"), delay=timedelta(seconds=120))
    assert due(newest_link(job)).minute % 5 == 0
    run, now = started(job)
    (link,) = end(run, now=now + 30 * SECOND)
    assert due(link) == now + 150 * SECOND


def test_a_weekday_job_waits_for_its_next_tick_after_the_end() -> None:
    run, now = started(make_chain(cron=WEEKDAYS_AT_NINE, delay=timedelta(days=1)))
    (link,) = end(run, now=now + timedelta(hours=1))
    assert (due(link) - now) in {timedelta(days=1), timedelta(days=3)}


def test_a_link_is_a_snapshot_and_expires_only_by_the_jobs_own_rule() -> None:
    kept = make_chain("kept", params={"a": 1})
    assert (newest_link(kept).params, newest_link(kept).expires_at) == ({"a": 1}, None)


def test_whoever_follows_first_plans_the_link_and_the_others_nothing() -> None:
    run, now = started(make_chain())
    assert len(end(run, now=now)) == 1
    assert follow([run.job_id or 0], now=now) == []
    assert tend(now=now) == []
    assert Run.objects.count() == 2


def test_a_link_that_waits_for_its_next_attempt_is_still_the_only_one() -> None:
    run, now = started(make_chain(retry_base=MINUTE))
    Run.objects.update(max_retries=2)
    assert end(run, now=now, outcome=Outcome.FAILED) == []
    assert tend(now=now + timedelta(hours=1)) == []
    assert resolve_waiting("real", now=now + timedelta(hours=1)) == 1
    assert Run.objects.count() == 1


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMEOUT])
def test_a_chain_goes_on_after_a_failure(outcome: Outcome) -> None:
    run, now = started(make_chain())
    Run.objects.update(max_retries=0)
    (link,) = end(run, now=now, outcome=outcome)
    assert due(link) == now + MINUTE


def test_the_beat_goes_on_where_nobody_did() -> None:
    run, now = started(make_chain())
    Run.objects.update(lost_count=1)
    assert lose([run.fence], now=now + SECOND)
    (link,) = tend(now=now + 2 * SECOND)
    assert due(link) == now + SECOND + MINUTE


def test_a_chain_that_was_broken_for_long_goes_on_at_once() -> None:
    run, now = started(make_chain())
    Run.objects.update(lost_count=1)
    lose([run.fence], now=now)
    (link,) = tend(now=now + timedelta(hours=5))
    assert due(link) == now + MINUTE
    assert [run.pk for run in start_due(now=now + timedelta(hours=5))] == [link.pk]


def test_a_link_that_expired_is_followed_by_the_next() -> None:
    job = make_chain()
    Job.objects.update(expires_after=5 * SECOND)
    run, now = started(job)
    (link,) = end(run, now=now)
    assert link.expires_at == due(link) + 5 * SECOND
    late = due(link) + 6 * SECOND
    tend(now=due(link))
    assert expire_waiting("real", now=late) == 1
    (following,) = tend(now=late)
    assert due(following) == late + MINUTE


def test_a_manual_run_adds_no_link(operator: Operator) -> None:
    job = make_chain()
    run = trigger_run(job, operator)
    (manual,) = start_due(now=database_now())
    assert manual.pk == run.pk
    assert end(manual, now=database_now()) == []
    assert Run.objects.filter(scheduled_for__isnull=False).count() == 1


def test_an_operators_retry_adds_no_link(operator: Operator) -> None:
    run, now = started(make_chain())
    end(run, now=now)
    retry_runs([run.pk], operator)
    (again,) = start_due(now=database_now())
    assert (again.pk, again.attempt) == (run.pk, 2)
    assert end(again, now=database_now()) == []
    assert Run.objects.count() == 2


def test_a_link_that_is_cancelled_before_its_time_is_followed_by_the_next_after_it(
    operator: Operator,
) -> None:
    job = make_chain(cron=WEEKDAYS_AT_NINE, delay=None)
    cancelled = newest_link(job)
    cancel_runs([cancelled.pk], operator)
    (link,) = follow([job.pk], now=database_now())
    assert due(link) == WEEKDAYS_AT_NINE.next_after(due(cancelled))


def test_a_tripped_breaker_holds_the_next_link_back_for_its_trial() -> None:
    job = make_chain(max_consecutive_errors=1)
    run, now = started(job)
    Run.objects.update(max_retries=0)
    (trial,) = end(run, now=now, outcome=Outcome.FAILED)
    assert due(trial) == now + timedelta(seconds=300)
    (run,) = start_due(now=due(trial))
    (link,) = end(run, now=due(trial))
    assert due(link) == due(trial) + MINUTE
    assert JobStatus.objects.get().tripped_at is None


def test_a_link_that_falls_due_while_the_breaker_is_open_is_skipped() -> None:
    job = make_chain()
    now = due(newest_link(job))
    JobStatus.objects.update(tripped_at=now - SECOND, consecutive_errors=3)
    (trial,) = tend(now=now)
    assert due(trial) == now + timedelta(seconds=299)
    assert Run.objects.get(reason="breaker_open").state == RunState.SKIPPED


def test_a_link_that_nobody_saw_in_time_is_missed_if_the_job_says_so() -> None:
    job = make_chain()
    Job.objects.update(misfire="skip")
    late = due(newest_link(job)) + timedelta(hours=1)
    (link,) = tend(now=late)
    assert Run.objects.get(state=RunState.SKIPPED).reason == "missed"
    assert due(link) == late + MINUTE


def test_a_chain_ends_with_its_schedule(operator: Operator) -> None:
    del operator
    run, now = started(make_chain(cron=Crontab("*/5")))
    ScheduleEpoch.objects.update(ends_at=now + SECOND)
    assert end(run, now=now) == []
    assert Job.objects.get().next_due_at is None
    assert tend(now=now + timedelta(days=1)) == []


def test_one_poisonous_chain_does_not_stop_the_others() -> None:
    poisoned, healthy = make_chain("poisoned"), make_chain("healthy")
    runs = start_due(now=database_now() + 2 * MINUTE)
    now = database_now() + 2 * MINUTE
    ScheduleEpoch.objects.filter(job=poisoned).update(spec={"delay_seconds": "soon"})
    for run in runs:
        end(run, now=now)
    assert newest_link(healthy).state == RunState.PENDING
    poisoned.refresh_from_db()
    assert "delay_seconds" in poisoned.schedule_error
    assert poisoned.next_due_at is None


def test_planning_by_ticks_leaves_chains_alone() -> None:
    job = make_chain()
    now = due(newest_link(job)) + timedelta(hours=1)
    assert plan_due_jobs("real", now=now) == plan_jobs([job.pk], now=now) == 0
    assert Run.objects.count() == 1


def test_a_link_of_another_scope_is_left_alone() -> None:
    job = make_chain(scope="mock")
    assert tend(now=due(newest_link(job)) + MINUTE) == []
    assert newest_link(job).state == RunState.PENDING


def test_a_link_keeps_the_id_that_its_message_would_bear() -> None:
    job = make_chain()
    promised = newest_link(job).attempt_id
    run, _ = started(job)
    assert promised is not None
    assert run.attempt_id == promised
    assert run.attempts.get().pk == promised


def test_a_link_that_was_released_starts_with_a_new_attempt() -> None:
    job = make_chain()
    run, now = started(job)
    Run.objects.update(state=RunState.PENDING)
    make_ready([run.pk], now=now)
    (again,) = start_due(now=now)
    assert (again.attempt, again.attempt_id == run.attempt_id) == (2, False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_many_who_follow_at_once_plan_one_link() -> None:
    run, now = started(make_chain())
    Run.objects.update(state=RunState.DONE, finished_at=now)
    planned: list[int] = []

    def follow_once() -> None:
        planned.append(len(follow([run.job_id or 0], now=now)))
        connection.close()

    threads = [threading.Thread(target=follow_once) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(planned) == [0] * 7 + [1]


def test_the_clock_that_went_back_makes_no_second_link() -> None:
    run, now = started(make_chain())
    (link,) = end(run, now=now)
    assert follow([run.job_id or 0], now=now - timedelta(days=1)) == []
    assert newest_link(Job.objects.get()).pk == link.pk
    assert datetime.now(UTC) < due(link)
