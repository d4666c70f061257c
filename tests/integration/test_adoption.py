"""Periodic tasks written by others, and edits made elsewhere, are followed."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import override_settings
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from opsproject.celery import app
from scheduling.clock import database_now
from scheduling.engine.adoption.adopt import Adoption
from scheduling.engine.adoption.edits import copy_down
from scheduling.engine.adoption.routes import Routes
from scheduling.engine.plan import plan_due_jobs
from scheduling.ledger import account_of
from scheduling.models import Job, Run, ScheduleEpoch
from tests.conftest import JobMaker

pytestmark = pytest.mark.django_db


def every(seconds: int) -> IntervalSchedule:
    return IntervalSchedule.objects.create(every=seconds, period=IntervalSchedule.SECONDS)


def save(row: PeriodicTask) -> None:
    row.save()  # type: ignore[no-untyped-call] # it has no types


def follow(adoption: Adoption | None = None, *, now: datetime | None = None) -> datetime:
    """Let a beat look until it is in step; a new beat unless one is given."""
    adoption, now = adoption or Adoption(app, "real"), now or database_now()
    for _ in range(1000):
        adoption.follow(now=now, monotonic=time.monotonic())
        if not adoption.behind:
            return now
    raise AssertionError("the beat never gets in step")


def test_a_foreign_periodic_task_becomes_a_job() -> None:
    PeriodicTask.objects.create(
        name="Nightly export (v2)", task="tests.task", kwargs='{"a": 1}', interval=every(30)
    )
    follow()
    job = Job.objects.get()
    assert (job.job_id, job.params, job.adopted) == ("Nightly-export-v2", {"a": 1}, True)
    assert job.next_due_at is not None


def test_what_is_adopted_again_stays_one_job() -> None:
    PeriodicTask.objects.create(name="a", task="tests.task", interval=every(30))
    follow()
    follow()
    assert Job.objects.count() == ScheduleEpoch.objects.count() == 1


def test_two_names_that_read_alike_get_two_ids() -> None:
    PeriodicTask.objects.create(name="a b", task="tests.task", interval=every(30))
    PeriodicTask.objects.create(name="a/b", task="tests.task", interval=every(30))
    follow()
    assert len(set(Job.objects.values_list("job_id", flat=True))) == 2


@override_settings(OPS_ADOPT_SCOPE="mock")
def test_another_scope_adopts_nothing_that_is_not_its_own() -> None:
    PeriodicTask.objects.create(name="a", task="tests.task", interval=every(30))
    follow()
    assert not Job.objects.exists()


def test_a_row_with_broken_json_does_not_stop_the_others() -> None:
    PeriodicTask.objects.create(name="broken", task="t", kwargs="{", interval=every(30))
    PeriodicTask.objects.create(name="whole", task="t", interval=every(30))
    follow()
    broken, whole = Job.objects.order_by("job_id")
    assert (broken.next_due_at, "kwargs: not JSON" in broken.schedule_error) == (None, True)
    assert (whole.job_id, whole.schedule_error) == ("whole", "")
    assert whole.next_due_at is not None


def test_an_edited_schedule_opens_a_new_epoch_and_settles_the_old(make_job: JobMaker) -> None:
    job = make_job(every=10)
    schedule = PeriodicTask.objects.get()
    schedule.interval = every(3600)
    save(schedule)
    now = follow()
    old, new = ScheduleEpoch.objects.order_by("id")
    assert (old.to_at, new.from_at) == (now, now)
    assert account_of(job.pk, now=now).closes
    job.refresh_from_db()
    assert job.next_due_at == now + timedelta(hours=1)


def test_a_save_without_a_change_keeps_the_grid(make_job: JobMaker) -> None:
    job = make_job(every=10)
    due = job.next_due_at
    save(PeriodicTask.objects.get())
    follow()
    job.refresh_from_db()
    assert (job.next_due_at, ScheduleEpoch.objects.count()) == (due, 1)


def test_a_disabled_task_has_no_epoch_and_an_enabled_one_starts_anew(make_job: JobMaker) -> None:
    job = make_job()
    schedule = PeriodicTask.objects.get()
    schedule.enabled = False
    save(schedule)
    follow()
    job.refresh_from_db()
    assert (job.enabled, job.next_due_at) == (False, None)
    assert not ScheduleEpoch.objects.filter(to_at=None).exists()
    schedule.enabled = True
    save(schedule)
    follow()
    job.refresh_from_db()
    assert job.enabled
    assert job.next_due_at is not None


def test_edited_arguments_reach_the_next_run_and_not_the_last(make_job: JobMaker) -> None:
    job = make_job(params={"a": 1}, overlap="queue")
    plan_due_jobs("real", now=_due(job))
    schedule = PeriodicTask.objects.get()
    schedule.kwargs = '{"a": 2}'
    save(schedule)
    follow()
    plan_due_jobs("real", now=_due(job))
    assert [run.params for run in Run.objects.order_by("id")] == [{"a": 1}, {"a": 2}]


def test_a_deleted_periodic_task_leaves_its_job_without_a_schedule(make_job: JobMaker) -> None:
    job = make_job()
    PeriodicTask.objects.all().delete()
    now = follow()
    job.refresh_from_db()
    assert (job.schedule, job.next_due_at) == (None, None)
    assert account_of(job.pk, now=now).closes


def test_a_crontab_row_keeps_its_zone() -> None:
    row = CrontabSchedule.objects.create(minute="0", hour="9", timezone="Asia/Seoul")
    PeriodicTask.objects.create(name="a", task="tests.task", crontab=row)
    follow()
    due = Job.objects.get().next_due_at
    assert due is not None
    assert due.astimezone(UTC).hour == 0


def _due(job: Job) -> datetime:
    job.refresh_from_db()
    assert job.next_due_at is not None
    return job.next_due_at


def test_an_adopted_interval_keeps_the_grid_of_its_last_run() -> None:
    last = database_now() - timedelta(minutes=59)
    row = PeriodicTask.objects.create(name="a", task="tests.task", interval=every(3600))
    PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=last)
    follow()
    assert Job.objects.get().next_due_at == last + timedelta(hours=1)


def test_an_adopted_job_keeps_the_time_limits_of_its_task() -> None:
    PeriodicTask.objects.create(name="a", task="tests.task", interval=every(30))
    follow()
    assert Job.objects.get().timeout is None


def test_broken_json_that_is_corrected_leaves_no_error_behind(make_job: JobMaker) -> None:
    job = make_job()
    row = PeriodicTask.objects.get()
    row.kwargs = "{"
    save(row)
    follow()
    job.refresh_from_db()
    assert "not JSON" in job.schedule_error
    row.kwargs = "{}"
    save(row)
    follow()
    job.refresh_from_db()
    assert job.schedule_error == ""


def test_a_job_that_was_set_aside_is_planned_again_when_its_row_is_saved(
    make_job: JobMaker,
) -> None:
    job = make_job()
    Job.objects.update(schedule_error="out of order", next_due_at=None)
    save(PeriodicTask.objects.get())
    now = follow()
    job.refresh_from_db()
    assert (job.schedule_error, job.next_due_at is None) == ("", False)
    later = now + timedelta(minutes=5)
    plan_due_jobs("real", now=later)
    assert account_of(job.pk, now=later).closes


def test_a_set_aside_job_with_a_new_schedule_settles_its_old_account(make_job: JobMaker) -> None:
    job = make_job(every=1)
    Job.objects.update(schedule_error="out of order", next_due_at=None)
    row = PeriodicTask.objects.get()
    row.interval = every(3600)
    save(row)
    later = database_now() + timedelta(seconds=30)
    follow(now=later)
    assert account_of(job.pk, now=later).closes


def test_a_row_that_cannot_even_be_read_does_not_stop_the_others(make_job: JobMaker) -> None:
    job = make_job()
    row = CrontabSchedule.objects.create(minute="0")
    CrontabSchedule.objects.filter(pk=row.pk).update(timezone="UTC")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE django_celery_beat_crontabschedule SET timezone = 'Mars/Base' WHERE id = %s",
            [row.pk],
        )
    PeriodicTask.objects.filter(name=str(job)).update(interval=None, crontab_id=row.pk)
    PeriodicTask.objects.create(name="whole", task="t", interval=every(30))
    follow()
    assert Job.objects.filter(job_id="whole").exists()
    job.refresh_from_db()
    assert "cannot be read" in job.schedule_error


def test_a_one_off_that_ran_is_not_enabled_again_by_a_row_read_before(make_job: JobMaker) -> None:
    job = make_job()
    Job.objects.update(one_off=True)
    PeriodicTask.objects.update(one_off=True)
    stale = PeriodicTask.objects.get()
    due = _due(job)
    plan_due_jobs("real", now=due)
    job.refresh_from_db()
    assert copy_down([(stale, job)], Routes(app, "real"), now=due + timedelta(seconds=30)) == 0
    job.refresh_from_db()
    assert (job.enabled, ScheduleEpoch.objects.filter(to_at=None).exists()) == (False, False)
