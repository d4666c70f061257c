"""Due ticks become runs and verdicts in the database, once each."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django_celery_beat.models import PeriodicTask
from pytest_django import DjangoAssertNumQueries

from scheduling.engine import plan
from scheduling.engine.plan import plan_due_jobs, plan_jobs
from scheduling.engine.schedules import Schedule
from scheduling.ledger import account_of, accounts
from scheduling.models import Job, JobStatus, Run, ScheduleEpoch, SkippedTicks
from scheduling.states import RunState
from tests.conftest import JobMaker


def due(job: Job) -> datetime:
    job.refresh_from_db()
    assert job.next_due_at is not None
    return job.next_due_at


def test_a_due_tick_is_planned_once(make_job: JobMaker) -> None:
    job = make_job()
    tick = due(job)
    assert [plan_due_jobs("real", now=tick), plan_due_jobs("real", now=tick)] == [1, 0]
    assert list(Run.objects.values_list("scheduled_for", "state")) == [(tick, RunState.READY)]
    assert due(job) == tick + timedelta(seconds=10)


def test_nothing_is_planned_before_its_time(make_job: JobMaker) -> None:
    job = make_job()
    assert plan_due_jobs("real", now=due(job) - timedelta(microseconds=1)) == 0


def test_a_job_of_another_scope_is_left_alone(make_job: JobMaker) -> None:
    job = make_job(scope="mock")
    assert plan_due_jobs("real", now=due(job)) == 0


def test_a_run_is_a_snapshot_of_its_job(make_job: JobMaker) -> None:
    job = make_job(params={"a": 1}, priority=3)
    plan_due_jobs("real", now=due(job))
    Job.objects.update(params={"a": 2}, priority=9)
    run = Run.objects.get()
    assert (run.params, run.priority, run.queue) == ({"a": 1}, 3, "real.jobs.job")


def test_a_run_carries_its_jobs_routing_and_retry_policy(make_job: JobMaker) -> None:
    job = make_job()
    policy = {
        "routing": {"exchange": "events", "headers": {"a": "b"}},
        "retry_jitter": True,
        "non_retryable_codes": ["Forbidden"],
    }
    Job.objects.update(**policy)
    plan_due_jobs("real", now=due(job))
    assert Run.objects.values(*policy).get() == policy


def test_a_weekday_job_has_no_tick_on_a_saturday(
    make_job: JobMaker, weekdays_at_nine: Schedule
) -> None:
    job = make_job(schedule=weekdays_at_nine)
    for _ in range(7):
        tick = due(job)
        assert tick.weekday() < 5
        plan_due_jobs("real", now=tick)


def test_an_interval_stays_on_its_grid_however_late_it_is_planned(make_job: JobMaker) -> None:
    job = make_job()
    first = due(job)
    plan_due_jobs("real", now=first + timedelta(seconds=7.3))
    assert due(job) == first + timedelta(seconds=10)


def test_a_tick_while_the_last_run_is_open_is_an_overlap(make_job: JobMaker) -> None:
    job = make_job()
    plan_due_jobs("real", now=due(job))
    plan_due_jobs("real", now=due(job))
    assert Run.objects.count() == 1
    assert SkippedTicks.objects.get().reason == "overlap"


def test_equal_verdicts_in_a_row_are_one_lengthening_stretch(make_job: JobMaker) -> None:
    job = make_job()
    for _ in range(5):
        plan_due_jobs("real", now=due(job))
    assert SkippedTicks.objects.get().count == 4


def test_the_stretches_of_many_jobs_are_lengthened_together(
    make_job: JobMaker, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    jobs = [make_job(f"job-{n}", every=5 + n % 2) for n in range(20)]
    begin = max(due(job) for job in jobs)
    plan_due_jobs("real", now=begin)
    plan_due_jobs("real", now=begin + timedelta(seconds=6))
    with django_assert_max_num_queries(14):
        plan_due_jobs("real", now=begin + timedelta(seconds=12))
    assert Run.objects.count() == SkippedTicks.objects.count() == 20
    now = begin + timedelta(seconds=12)
    assert all(account_of(job.pk, now=now).closes for job in jobs)


def test_a_stretch_does_not_go_on_over_an_edit_of_the_schedule(make_job: JobMaker) -> None:
    job = make_job()
    plan_due_jobs("real", now=due(job))
    plan_due_jobs("real", now=due(job))
    epoch = ScheduleEpoch.objects.get()
    ScheduleEpoch.objects.update(to_at=epoch.from_at)
    job.refresh_from_db()
    assert job.planned_until is not None
    edge = job.planned_until
    ScheduleEpoch.objects.create(job=job, kind=epoch.kind, spec=epoch.spec, from_at=edge)
    plan_due_jobs("real", now=due(job))
    assert list(SkippedTicks.objects.values_list("count", flat=True)) == [1, 1]


def test_after_an_outage_the_newest_tick_runs_and_the_others_are_coalesced(
    make_job: JobMaker,
) -> None:
    job = make_job()
    noticed = due(job) + timedelta(hours=1)
    plan_due_jobs("real", now=noticed)
    assert Run.objects.get().scheduled_for == noticed
    assert SkippedTicks.objects.get().count == 360
    assert account_of(job.pk, now=noticed).closes


def test_a_long_catch_up_is_planned_turn_by_turn_the_oldest_first(make_job: JobMaker) -> None:
    job = make_job(every=1, misfire="all")
    first = due(job)
    noticed = first + timedelta(seconds=2_500)
    plan_due_jobs("real", now=noticed)
    plan_due_jobs("real", now=noticed)
    assert (Run.objects.count(), due(job)) == (2_000, first + timedelta(seconds=2_000))
    assert account_of(job.pk, now=first + timedelta(seconds=1_999)).closes
    assert plan_due_jobs("real", now=noticed) == 1
    assert due(job) > noticed
    assert plan_due_jobs("real", now=noticed) == 0
    account = account_of(job.pk, now=noticed)
    assert account.closes
    # Of the 61 on time none overtakes: the job is in progress.
    assert (account.open, account.verdicts["skipped:overlap"]) == (2_441, 60)


def test_jobs_that_are_far_behind_share_what_a_turn_may_make(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "MOST_RUNS_AT_ONCE", 40)
    jobs = [make_job(f"job-{n}", every=1, misfire="all") for n in range(4)]
    noticed = due(jobs[0]) + timedelta(hours=1)
    plan_due_jobs("real", now=noticed)
    assert [Run.objects.filter(job=job).count() for job in jobs] == [10] * 4


def test_many_jobs_that_are_far_behind_hold_up_none_that_is_on_time(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PAGE", 4)
    monkeypatch.setattr(plan, "MOST_RUNS_AT_ONCE", 4)
    behind = [make_job(f"behind-{n}", every=1, misfire="all") for n in range(6)]
    punctual = make_job("punctual", every=3600)
    plan_due_jobs("real", now=due(punctual))
    assert Run.objects.filter(job=punctual).count() == 1
    assert Run.objects.filter(job__in=behind).exists()


def test_what_is_caught_up_never_expires_and_what_is_on_time_does(make_job: JobMaker) -> None:
    job = make_job(misfire="all", max_parallel=100, misfire_grace=timedelta(seconds=15))
    noticed = due(job) + timedelta(seconds=20)
    plan_due_jobs("real", now=noticed)
    expiries = Run.objects.order_by("scheduled_for").values_list("expires_at", flat=True)
    assert list(expiries) == [None, noticed + timedelta(seconds=8), noticed + timedelta(seconds=8)]


def test_a_run_on_time_is_not_queued_behind_another_by_the_all_policy(make_job: JobMaker) -> None:
    job = make_job(misfire="all")
    plan_due_jobs("real", now=due(job))
    plan_due_jobs("real", now=due(job))
    assert Run.objects.count() == 1
    assert SkippedTicks.objects.get().reason == "overlap"


def test_a_tripped_job_skips_its_ticks_until_its_trial(make_job: JobMaker) -> None:
    job = make_job()
    tick = due(job)
    JobStatus.objects.update(tripped_at=tick, consecutive_errors=3)
    plan_due_jobs("real", now=tick)
    assert SkippedTicks.objects.get().reason == "breaker_open"
    plan_due_jobs("real", now=tick + timedelta(seconds=300))
    assert Run.objects.count() == 1


def test_a_run_expires_within_its_share_of_the_gap(make_job: JobMaker) -> None:
    job = make_job()
    tick = due(job)
    plan_due_jobs("real", now=tick)
    assert Run.objects.get().expires_at == tick + timedelta(seconds=8)


def test_one_poisonous_row_does_not_stop_the_others(make_job: JobMaker) -> None:
    poisoned, healthy = make_job("poisoned"), make_job("healthy")
    tick = due(healthy)
    ScheduleEpoch.objects.filter(job=poisoned).update(spec={"anchor": "when?"})
    plan_due_jobs("real", now=tick)
    assert Run.objects.get().job == healthy
    poisoned.refresh_from_db()
    assert "anchor" in poisoned.schedule_error
    assert poisoned.next_due_at is None


def test_a_job_that_the_database_refuses_does_not_stop_the_others(make_job: JobMaker) -> None:
    tampered, healthy = make_job("tampered", overlap="queue"), make_job("healthy")
    tick = due(tampered)
    plan_due_jobs("real", now=tick)
    behind = tick - timedelta(seconds=1)
    Job.objects.filter(pk=tampered.pk).update(planned_until=behind, next_due_at=tick)
    Run.objects.update(state=RunState.DONE, finished_at=tick)
    plan_due_jobs("real", now=due(healthy))
    tampered.refresh_from_db()
    assert "scheduled_for" in tampered.schedule_error or "run_one_per_tick" in (
        tampered.schedule_error
    )
    assert Run.objects.filter(job=healthy).count() == 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite stores any type anywhere")
def test_a_job_row_that_cannot_even_be_read_does_not_stop_the_others(make_job: JobMaker) -> None:
    broken, healthy = make_job("broken"), make_job("healthy")
    tick = due(healthy)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE scheduling_job SET timeout = 'abc' WHERE id = %s", [broken.pk])
    plan_due_jobs("real", now=tick)
    assert Run.objects.get().job_id == healthy.pk
    found = {account.job_id: account for account in accounts("real", now=tick)}
    assert found["healthy"].closes
    assert "cannot be read" in found["broken"].problems[0]


def test_planning_never_goes_back(make_job: JobMaker) -> None:
    job = make_job()
    tick = due(job)
    plan_due_jobs("real", now=tick)
    Job.objects.update(next_due_at=tick - timedelta(hours=1))
    plan_jobs([job.pk], now=tick - timedelta(minutes=30))
    assert Run.objects.count() == 1
    job.refresh_from_db()
    assert job.planned_until == tick


@pytest.mark.parametrize("policy", [{"overlap": "queue"}, {"misfire": "all"}, {}])
def test_a_half_open_breaker_lets_one_run_through(
    make_job: JobMaker, policy: dict[str, str]
) -> None:
    job = make_job(**policy)
    tick = due(job)
    JobStatus.objects.update(tripped_at=tick - timedelta(seconds=300), consecutive_errors=3)
    for seconds in (30, 40, 50):
        plan_due_jobs("real", now=tick + timedelta(seconds=seconds))
    assert Run.objects.count() == 1
    assert account_of(job.pk, now=tick + timedelta(seconds=50)).closes


def test_a_one_off_job_runs_once_and_disables_itself(make_job: JobMaker) -> None:
    job = make_job()
    Job.objects.update(one_off=True)
    later = due(job) + timedelta(seconds=35)
    plan_due_jobs("real", now=later)
    plan_due_jobs("real", now=later)
    job.refresh_from_db()
    assert (Run.objects.count(), job.enabled, job.next_due_at) == (1, False, None)
    assert not PeriodicTask.objects.get().enabled
    assert account_of(job.pk, now=later).closes


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_account_closes_at_every_moment(make_job: JobMaker, jobs: int) -> None:
    made = [make_job(f"job-{n}", every=3 + n) for n in range(jobs)]
    begin = due(made[0])
    for second in range(0, 60, 7):
        now = begin + timedelta(seconds=second)
        plan_due_jobs("real", now=now)
        accounts = [account_of(job.pk, now=now) for job in made]
        assert all(account.closes for account in accounts)
        assert all(account.planned > 0 for account in accounts) or second == 0
