"""What pausing, editing, disabling and switching make of a chain (SPEC A8, A11)."""

from datetime import UTC, datetime, timedelta

import pytest
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from opsproject.celery import app
from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.change_policy import change_policy
from scheduling.actions.create_job import NewJob, create_job
from scheduling.actions.pause_job import pause_job
from scheduling.actions.resume_job import resume_job
from scheduling.clock import database_now
from scheduling.engine.adoption.adopt import Adoption
from scheduling.engine.chains.chain import follow
from scheduling.engine.pauses import end_pauses
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.schedules import Schedule
from scheduling.errors import InvalidJob
from scheduling.models import Job, JobStatus, Run, ScheduleEpoch
from scheduling.recurrence import Chain, Clocked, Crontab, Interval
from scheduling.states import Outcome, RunState
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
from tests.conftest import JobMaker

DAY = timedelta(days=1)
LATER = datetime(2100, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def follow_rows(*, now: datetime) -> None:
    """Do what a beat does that has just started: look at every periodic task."""
    beat = Adoption(app, "real")
    beat.follow(now=now, monotonic=0.0)
    while beat.behind:
        beat.follow(now=now, monotonic=0.0)


def edit_row(**values: object) -> None:
    """Edit the one periodic task as django-celery-beat's admin does, and have a beat notice."""
    row = PeriodicTask.objects.get()
    for name, value in values.items():
        setattr(row, name, value)
    row.save()  # type: ignore[no-untyped-call] # it has no types
    follow_rows(now=database_now())


def states() -> list[tuple[str, str]]:
    return list(Run.objects.order_by("created_at").values_list("state", "reason"))


def test_a_pause_skips_the_link_that_waits_and_resuming_plans_another(operator: Operator) -> None:
    job = make_chain()
    pause_job(job, operator)
    assert states() == [("skipped", "paused")]
    assert tend(now=database_now() + DAY) == []
    resume_job(job, operator)
    assert states() == [("skipped", "paused"), ("pending", "")]
    assert due(newest_link(job)) >= database_now() + MINUTE - timedelta(seconds=20)


def test_a_weekday_job_that_is_paused_overnight_still_runs_at_nine(operator: Operator) -> None:
    job = make_chain(cron=WEEKDAYS_AT_NINE, delay=None)
    nine = due(newest_link(job))
    pause_job(job, operator)
    resume_job(job, operator)
    assert due(newest_link(job)) == nine
    assert [run.state for run in start_due(now=nine)] == [RunState.RUNNING]


def test_a_link_that_runs_may_finish_in_a_pause_and_is_followed_after_it(
    operator: Operator,
) -> None:
    job = make_chain()
    (run,) = start_due(now=due(newest_link(job)))
    pause_job(job, operator)
    assert end(run, now=database_now()) == []
    assert tend(now=database_now() + DAY) == []
    resume_job(job, operator)
    link = newest_link(job)
    assert (link.state, link.pk == run.pk) == (RunState.PENDING, False)


def test_a_pause_that_ends_by_itself_begins_the_chain_anew(operator: Operator) -> None:
    job = make_chain()
    until = database_now() + timedelta(hours=1)
    pause_job(job, operator, until=until)
    assert end_pauses("real", now=until) == 1
    assert due(newest_link(job)) == until + MINUTE


def test_a_second_pause_takes_the_place_of_the_first_and_skips_nothing_more(
    operator: Operator,
) -> None:
    job = make_chain()
    pause_job(job, operator)
    pause_job(job, operator, reason="again")
    assert states() == [("skipped", "paused")]


def test_resuming_what_is_not_paused_adds_no_link(operator: Operator) -> None:
    job = make_chain()
    resume_job(job, operator)
    assert Run.objects.count() == 1


def test_another_delay_takes_the_waiting_link_back(operator: Operator) -> None:
    job = make_chain(delay=DAY)
    change_policy(job, operator, {"next_delay": MINUTE})
    assert states() == [("cancelled", "schedule_changed"), ("pending", "")]
    old, new = ScheduleEpoch.objects.order_by("from_at")
    assert (old.to_at, new.recurrence()) == (new.from_at, Chain(MINUTE, None))
    assert due(newest_link(job)) == new.from_at + MINUTE
    assert due(Run.objects.get(epoch=old)) == old.to_at


def test_the_same_delay_again_changes_nothing(operator: Operator) -> None:
    job = make_chain()
    change_policy(job, operator, {"next_delay": MINUTE, "reschedule_mode": "queue"})
    assert (Run.objects.count(), ScheduleEpoch.objects.count()) == (1, 1)


def test_an_edit_while_a_link_runs_counts_from_its_end(operator: Operator) -> None:
    job = make_chain()
    now = due(newest_link(job))
    (run,) = start_due(now=now)
    change_policy(job, operator, {"next_delay": 5 * MINUTE})
    run.refresh_from_db()
    assert (run.state, Run.objects.count()) == (RunState.RUNNING, 1)
    (link,) = end(run, now=now + MINUTE)
    assert due(link) == now + 6 * MINUTE


def test_an_edit_of_the_crontab_row_is_copied_down() -> None:
    job = make_chain(cron=WEEKDAYS_AT_NINE, delay=None)
    edit_row(crontab=CrontabSchedule.objects.create(minute="30", hour="15"))
    link = newest_link(job)
    assert (due(link).hour, due(link).minute, link.state) == (15, 30, RunState.PENDING)
    assert Run.objects.get(state=RunState.CANCELLED).reason == "schedule_changed"


def test_a_row_that_is_disabled_ends_the_chain_and_enabled_begins_it_anew() -> None:
    job = make_chain(cron=WEEKDAYS_AT_NINE, delay=None)
    for enabled in (False, True):
        edit_row(enabled=enabled)
        assert ScheduleEpoch.objects.filter(to_at=None).exists() is enabled
    assert states() == [("cancelled", "schedule_changed"), ("pending", "")]
    assert due(newest_link(job)).hour == 9


def test_a_row_that_is_deleted_ends_the_chain() -> None:
    job = make_chain(cron=Crontab("*/5"), delay=MINUTE)
    PeriodicTask.objects.get().delete()  # type: ignore[no-untyped-call] # it has no types
    follow_rows(now=database_now())
    assert states() == [("cancelled", "schedule_changed")]
    assert tend(now=due(newest_link(job)) + DAY) == []


def test_a_job_with_only_a_delay_needs_no_row_and_is_no_orphan() -> None:
    job = make_chain()
    assert (job.schedule, PeriodicTask.objects.count()) == (None, 0)
    follow_rows(now=database_now())
    assert states() == [("pending", "")]


def test_a_job_without_a_row_can_be_disabled_and_enabled(operator: Operator) -> None:
    job = make_chain()
    change_policy(job, operator, {"enabled": False})
    assert states() == [("cancelled", "schedule_changed")]
    assert tend(now=database_now() + DAY) == []
    change_policy(job, operator, {"enabled": True})
    assert states()[-1] == ("pending", "")


def test_with_a_row_it_is_the_row_that_is_disabled(operator: Operator) -> None:
    job = make_chain(cron=Crontab("*/5"))
    with pytest.raises(InvalidJob, match="edit the periodic task"):
        change_policy(job, operator, {"enabled": False})


def test_a_chain_that_was_set_aside_goes_on_once_its_policy_can_be(operator: Operator) -> None:
    job = make_chain()
    Job.objects.update(breaker_cooldown=timedelta(days=10_000_000))
    now = due(newest_link(job))
    (run,) = start_due(now=now)
    JobStatus.objects.update(tripped_at=now, consecutive_errors=3)
    end(run, now=now, outcome=Outcome.FAILED)
    job.refresh_from_db()
    assert (bool(job.schedule_error), job.next_due_at) == (True, None)
    change_policy(job, operator, {"breaker_cooldown": timedelta(seconds=90)})
    tend(now=now + MINUTE)
    assert due(newest_link(job)) == now + timedelta(seconds=90)
    job.refresh_from_db()
    assert job.schedule_error == ""


def test_a_link_that_waits_does_what_its_job_says_when_it_starts(operator: Operator) -> None:
    job = make_chain(params={"a": 1}, cron=WEEKDAYS_AT_NINE)
    Run.objects.update(published_at=database_now())
    change_policy(job, operator, {"priority": 7})
    edit_row(kwargs='{"a": 2}')
    link = Run.objects.get()
    assert (link.params, link.priority, link.state) == ({"a": 2}, 7, RunState.PENDING)
    assert link.published_at is None


def test_a_link_that_is_due_keeps_what_it_was_made_with(operator: Operator) -> None:
    job = make_chain()
    start_due(now=due(newest_link(job)))
    change_policy(job, operator, {"priority": 7})
    assert Run.objects.get().priority == 0


def test_a_job_of_ticks_becomes_a_chain_and_goes_back(
    make_job: JobMaker, operator: Operator, weekdays_at_nine: Schedule
) -> None:
    job = make_job(schedule=weekdays_at_nine)
    nine = job.next_due_at
    change_policy(job, operator, {"reschedule_mode": "queue"})
    assert due(newest_link(job)) == nine
    change_policy(job, operator, {"reschedule_mode": "scheduler"})
    assert states() == [("cancelled", "schedule_changed")]
    assert nine is not None
    assert plan_due_jobs("real", now=nine) == 1
    assert [run.scheduled_for for run in Run.objects.filter(state=RunState.READY)] == [nine]


def test_what_was_due_is_settled_before_the_switch(make_job: JobMaker, operator: Operator) -> None:
    job = make_job(every=1)
    past = database_now() - timedelta(seconds=30)
    ScheduleEpoch.objects.update(from_at=past, spec=Interval(past, MINUTE / 2).spec())
    Job.objects.update(planned_until=past, next_due_at=past + MINUTE / 2)
    change_policy(job, operator, {"reschedule_mode": "queue"})
    assert Run.objects.filter(scheduled_for=past + MINUTE / 2).exists()


def test_a_tick_that_is_in_progress_is_followed_by_the_first_link(
    make_job: JobMaker, operator: Operator
) -> None:
    job = make_job(every=10)
    assert job.next_due_at is not None
    plan_due_jobs("real", now=job.next_due_at)
    (run,) = start_due(now=job.next_due_at)
    change_policy(job, operator, {"reschedule_mode": "queue"})
    assert Run.objects.count() == 1
    (link,) = end(run, now=job.next_due_at + MINUTE)
    assert due(link) == job.next_due_at + MINUTE + timedelta(seconds=10)


def test_a_tick_that_was_cancelled_ahead_is_in_nobodys_way(
    operator: Operator,
) -> None:
    job = make_chain(cron=WEEKDAYS_AT_NINE, delay=None)
    nine = due(newest_link(job))
    cancel_runs([newest_link(job).pk], operator)
    follow([job.pk], now=database_now())
    change_policy(job, operator, {"reschedule_mode": "scheduler"})
    assert not Run.objects.filter(scheduled_for__gt=database_now()).exists()
    assert plan_due_jobs("real", now=nine) == 1


def test_an_interval_row_is_the_delay(make_job: JobMaker, operator: Operator) -> None:
    job = make_job(every=90)
    change_policy(job, operator, {"reschedule_mode": "queue"})
    assert ScheduleEpoch.objects.get(to_at=None).recurrence() == Chain(1.5 * MINUTE, None)
    edit_row(interval=IntervalSchedule.objects.create(every=2, period="minutes"))
    assert ScheduleEpoch.objects.get(to_at=None).recurrence() == Chain(2 * MINUTE, None)


def test_a_row_that_no_chain_can_follow_is_said_and_changes_nothing() -> None:
    job = make_chain(cron=WEEKDAYS_AT_NINE, delay=None)
    edit_row(one_off=True)
    job.refresh_from_db()
    assert "one_off: a job in queue mode" in job.schedule_error
    assert states() == [("pending", "")]


@pytest.mark.parametrize(
    ("mode", "delay", "recurrence", "named"),
    [
        ("queue", None, None, "next_delay"),
        ("queue", timedelta(0), None, "next_delay"),
        ("sometimes", None, None, "reschedule_mode"),
        ("scheduler", MINUTE, None, "next_delay"),
        ("queue", None, Clocked(LATER), "schedule"),
        ("queue", MINUTE, Interval(LATER, 2 * MINUTE), "next_delay"),
        ("scheduler", None, Chain(MINUTE, None), "schedule"),
        ("queue", MINUTE, Chain(MINUTE, None), "schedule"),
        ("queue", None, Crontab("0", "0", "*", "30", "2"), "schedule"),
    ],
)
def test_a_mode_that_contradicts_itself_is_refused_and_keeps_nothing(
    mode: str,
    delay: timedelta | None,
    recurrence: Interval | Crontab | Clocked | Chain | None,
    named: str,
    operator: Operator,
) -> None:
    schedule = Schedule(recurrence=recurrence) if recurrence else None
    new = NewJob(
        scope="real", job_id="a", task="t", reschedule_mode=mode, next_delay=delay,
        schedule=schedule,
    )  # fmt: skip
    with pytest.raises(InvalidJob) as refused:
        create_job(new, operator)
    assert refused.value.field == named
    assert not Job.objects.exists()
    assert not PeriodicTask.objects.exists()


def test_a_switch_that_cannot_be_changes_nothing(make_job: JobMaker, operator: Operator) -> None:
    job = make_job(every=None)
    with pytest.raises(InvalidJob, match="give one"):
        change_policy(job, operator, {"reschedule_mode": "queue"})
    assert not ScheduleEpoch.objects.exists()


def test_a_link_is_made_anew_with_all_that_a_run_takes_from_its_job(operator: Operator) -> None:
    """A field that is added to runs must not be forgotten where waiting links are refreshed."""
    job = make_chain()
    before = Run.objects.get()
    changes = {
        "priority": 3,
        "timeout": 5 * MINUTE,
        "expires_after": MINUTE,
        "max_retries": 4,
        "retry_base": MINUTE,
        "retry_cap": 2 * MINUTE,
        "retry_backoff": "linear",
        "retry_jitter": True,
        "non_retryable_codes": ["X"],
    }
    change_policy(job, operator, changes)
    after = Run.objects.get()
    expires_at = due(before) + changes.pop("expires_after")  # type: ignore[operator] # a delay
    assert {name: getattr(after, name) for name in changes} == changes
    assert (after.pk, after.created_at, after.expires_at) == (
        before.pk,
        before.created_at,
        expires_at,
    )
