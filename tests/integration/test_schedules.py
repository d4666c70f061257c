"""Every kind of schedule goes into django-celery-beat's rows and comes back the same."""

from datetime import UTC, datetime, timedelta

import pytest
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from opsproject.celery import app
from scheduling.actions.audit import Operator
from scheduling.actions.create_job import NewJob, create_job
from scheduling.clock import database_now
from scheduling.engine.adoption.comparison import edit_of
from scheduling.engine.adoption.routes import Routes
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.schedules import Schedule, schedule_of
from scheduling.errors import InvalidJob
from scheduling.ledger import account_of
from scheduling.models import Job, Run, ScheduleEpoch
from scheduling.recurrence import Clocked, Crontab, Interval, Solar

pytestmark = pytest.mark.django_db

FAR = datetime(2999, 1, 1, 9, tzinfo=UTC)
KINDS = [
    Interval(FAR, timedelta(minutes=5)),
    Interval(FAR, timedelta(seconds=1.5)),
    Crontab("*/5", "9-17", "1-5", "*", "*", "Asia/Tokyo"),
    Clocked(FAR + timedelta(microseconds=1)),
    Solar("dusk_civil", -33.8688, 151.2093),
]


def created(
    operator: Operator, schedule: Schedule, *, job_id: str = "job", enabled: bool = True
) -> Job:
    new = NewJob(scope="real", job_id=job_id, task="t", schedule=schedule, enabled=enabled)
    return create_job(new, operator)


@pytest.mark.parametrize("recurrence", KINDS, ids=lambda recurrence: recurrence.kind)
def test_a_job_and_its_row_say_the_same(
    operator: Operator, recurrence: Interval | Crontab | Clocked | Solar
) -> None:
    job = created(operator, Schedule(recurrence=recurrence))
    row = PeriodicTask.objects.get()
    row.full_clean()
    assert schedule_of(row, anchor=FAR).recurrence == recurrence
    epoch, routes = ScheduleEpoch.objects.get(), Routes(app, "real")
    assert edit_of(row, job, epoch, routes, now=database_now()) is None


@pytest.mark.parametrize("recurrence", KINDS, ids=lambda recurrence: recurrence.kind)
def test_schedule_rows_are_shared_not_made_again(
    operator: Operator, recurrence: Interval | Crontab | Clocked | Solar
) -> None:
    for job_id in ("one", "other"):
        created(operator, Schedule(recurrence=recurrence), job_id=job_id)
    one, other = PeriodicTask.objects.all()
    assert getattr(one, recurrence.kind) == getattr(other, recurrence.kind)


def test_a_schedule_row_that_was_made_twice_is_no_obstacle(operator: Operator) -> None:
    for _ in range(2):
        CrontabSchedule.objects.create(hour="9", timezone="UTC")
    created(operator, Schedule(recurrence=Crontab(hour="9")))
    assert CrontabSchedule.objects.count() == 2


def test_a_clocked_job_runs_once_and_is_disabled(operator: Operator) -> None:
    at = database_now() + timedelta(minutes=5)
    job = created(operator, Schedule(recurrence=Clocked(at)))
    plan_due_jobs("real", now=at + timedelta(days=1))
    job.refresh_from_db()
    assert (Run.objects.get().scheduled_for, job.enabled) == (at, False)
    assert account_of(job.pk, now=at + timedelta(days=2)).closes


NOW = database_now
NEVER = {
    "30 February": lambda: Schedule(recurrence=Crontab("0", "0", "*", "30", "2")),
    "the past": lambda: Schedule(recurrence=Clocked(NOW() - timedelta(seconds=1))),
    "the pole": lambda: Schedule(recurrence=Solar("sunset", -90, 0)),
    "no tick before its end": lambda: Schedule(
        recurrence=Interval(NOW(), timedelta(hours=1)), ends_at=NOW() + timedelta(minutes=5)
    ),
    "ends before it starts": lambda: Schedule(
        recurrence=Interval(NOW(), timedelta(hours=1)), starts_at=FAR, ends_at=NOW()
    ),
}


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("why", sorted(NEVER))
def test_a_schedule_that_never_fires_is_refused_and_nothing_is_kept(
    operator: Operator,
    why: str,
    enabled: bool,  # noqa: FBT001 a parameter of the test
) -> None:
    with pytest.raises(InvalidJob, match=r"^schedule: will not fire: .* choose another") as refused:
        created(operator, NEVER[why](), enabled=enabled)
    assert refused.value.field == "schedule"
    assert not Job.objects.exists()
    assert not PeriodicTask.objects.exists()
