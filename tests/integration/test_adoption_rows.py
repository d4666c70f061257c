"""What a foreign periodic task says is honoured, whatever it says, and shown where it cannot be."""

import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from opsproject.celery import app
from scheduling.clock import database_now
from scheduling.engine.adoption.adopt import Adoption
from scheduling.engine.plan import plan_due_jobs
from scheduling.ledger import account_of
from scheduling.models import Job, Run, ScheduleEpoch
from scheduling.states import RunState

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def every(seconds: int) -> IntervalSchedule:
    return IntervalSchedule.objects.create(every=seconds, period=IntervalSchedule.SECONDS)


def daily(hour: int = 9) -> CrontabSchedule:
    return CrontabSchedule.objects.create(minute="0", hour=str(hour))


def at(instant: datetime) -> ClockedSchedule:
    return ClockedSchedule.objects.create(clocked_time=instant)


def sunset() -> SolarSchedule:
    return SolarSchedule.objects.create(event="sunset", latitude=52.52, longitude=13.405)


def foreign(name: str = "foreign", **fields: Any) -> PeriodicTask:
    """Make a row as a migration does, without django-celery-beat's validation."""
    [row] = PeriodicTask.objects.bulk_create([PeriodicTask(name=name, task="t", **fields)])
    return row


def follow(*, now: datetime | None = None) -> datetime:
    """Let a new beat look until it is in step."""
    adoption, now = Adoption(app, "real"), now or database_now()
    for _ in range(10_000):
        adoption.follow(now=now, monotonic=time.monotonic())
        if not adoption.behind:
            return now
    raise AssertionError("the beat never gets in step")


def test_every_kind_of_schedule_fires_and_its_account_closes() -> None:
    now = database_now()
    foreign("every hour", interval=every(3600))
    foreign("at nine", crontab=daily())
    foreign("at sunset", solar=sunset())
    foreign("in an hour", clocked=at(now + HOUR), one_off=True)
    follow(now=now)
    later = now + 2 * DAY
    plan_due_jobs("real", now=later)
    assert set(Run.objects.values_list("job__job_id", flat=True)) == {
        "every-hour", "at-nine", "at-sunset", "in-an-hour",
    }  # fmt: skip
    for job in Job.objects.all():
        account = account_of(job.pk, now=later)
        assert account.closes
        assert account.planned in ((1,) if job.job_id == "in-an-hour" else (1, 2, 3, 48, 49))


@pytest.mark.parametrize(
    "schedule",
    [
        lambda _: {"interval": every(3600)},
        lambda _: {"crontab": CrontabSchedule.objects.create(minute="30")},
        lambda _: {"solar": sunset()},
        lambda now: {"clocked": at(now + HOUR)},
    ],
    ids=["interval", "crontab", "solar", "clocked"],
)
def test_a_one_off_row_of_any_kind_runs_once_and_is_disabled(
    schedule: Callable[[datetime], dict[str, Any]],
) -> None:
    now = database_now()
    row = foreign(one_off=True, **schedule(now))
    follow(now=now)
    for days in (2, 4, 6):
        plan_due_jobs("real", now=now + days * DAY)
        follow(now=now + days * DAY)
    row.refresh_from_db()
    job = Job.objects.get()
    assert (Run.objects.count(), row.enabled, job.enabled, job.next_due_at) == (
        1, False, False, None,
    )  # fmt: skip
    assert account_of(job.pk, now=now + 6 * DAY).closes


def test_a_clocked_row_that_nobody_fired_in_time_is_caught_up() -> None:
    now = database_now()
    foreign(clocked=at(now - 2 * HOUR), one_off=True)
    follow(now=now)
    plan_due_jobs("real", now=now)
    assert Run.objects.get().scheduled_for == now - 2 * HOUR
    assert account_of(Job.objects.get().pk, now=now).closes


def test_a_clocked_row_whose_time_is_long_past_does_not_fire_and_says_so() -> None:
    now = database_now()
    foreign(clocked=at(now - 25 * HOUR), one_off=True)
    follow(now=now)
    job = Job.objects.get()
    assert job.next_due_at is None
    assert job.schedule_error.startswith("will not fire: once, at ")


def test_a_clocked_row_that_ran_under_stock_beat_does_not_run_again() -> None:
    now = database_now()
    row = foreign(clocked=at(now - HOUR), one_off=True)
    PeriodicTask.objects.filter(pk=row.pk).update(last_run_at=now - HOUR)
    follow(now=now)
    assert Job.objects.get().next_due_at is None


def test_a_one_off_that_stock_beat_ran_but_did_not_disable_does_not_run_again() -> None:
    row = foreign(interval=every(60), one_off=True, total_run_count=1)
    follow()
    row.refresh_from_db()
    assert (Job.objects.get().next_due_at, row.enabled, row.total_run_count) == (None, False, 0)


def test_a_clocked_row_that_is_set_to_now_again_fires_again() -> None:
    now = database_now()
    row = foreign(clocked=at(now + timedelta(seconds=1)), one_off=True)
    follow(now=now)
    plan_due_jobs("real", now=now + HOUR)
    Run.objects.update(state=RunState.DONE, finished_at=now + HOUR)
    again = now + 2 * HOUR
    PeriodicTask.objects.filter(pk=row.pk).update(clocked=at(again), enabled=True)
    follow(now=again + timedelta(seconds=40))
    plan_due_jobs("real", now=again + timedelta(seconds=40))
    assert list(Run.objects.order_by("id").values_list("scheduled_for", flat=True)) == [
        now + timedelta(seconds=1), again,
    ]  # fmt: skip
    assert account_of(Job.objects.get().pk, now=again + HOUR).closes


def test_a_clocked_row_that_ran_and_is_enabled_again_as_it_is_does_not_run_again() -> None:
    now = database_now()
    row = foreign(clocked=at(now + HOUR), one_off=True)
    follow(now=now)
    plan_due_jobs("real", now=now + HOUR)
    PeriodicTask.objects.filter(pk=row.pk).update(enabled=True)
    follow(now=now + 2 * HOUR)
    plan_due_jobs("real", now=now + 2 * HOUR)
    job = Job.objects.get()
    assert job.schedule_error.startswith("will not fire: once, at ")
    assert Run.objects.count() == 1
    assert account_of(job.pk, now=now + DAY).closes


def test_a_clocked_time_that_is_moved_up_to_now_before_it_came_fires_once() -> None:
    now = database_now()
    row = foreign(clocked=at(now + DAY), one_off=True)
    follow(now=now)
    ClockedSchedule.objects.filter(periodictask=row).update(clocked_time=now + HOUR)
    seen = now + HOUR + timedelta(seconds=50)
    follow(now=seen)
    plan_due_jobs("real", now=seen)
    plan_due_jobs("real", now=now + 2 * DAY)
    assert Run.objects.get().scheduled_for == now + HOUR
    assert account_of(Job.objects.get().pk, now=now + 2 * DAY).closes


@pytest.mark.parametrize("kind", ["interval", "crontab"])
def test_the_first_tick_may_lie_on_the_start(kind: str) -> None:
    now = database_now()
    start = (now + 2 * DAY).replace(hour=9, minute=0, second=0, microsecond=0)
    schedule = {"interval": every(7200)} if kind == "interval" else {"crontab": daily()}
    foreign(start_time=start, **schedule)
    follow(now=now)
    assert Job.objects.get().next_due_at == start
    follow(now=now)
    assert ScheduleEpoch.objects.count() == 1


def test_an_interval_that_started_long_ago_keeps_to_its_start() -> None:
    now = database_now()
    foreign(interval=every(3600), start_time=now - timedelta(days=100, minutes=10))
    follow(now=now)
    assert Job.objects.get().next_due_at == now + timedelta(minutes=50)


@pytest.mark.parametrize("kind", ["interval", "crontab", "solar", "clocked"])
def test_nothing_fires_after_the_row_has_expired(kind: str) -> None:
    now = database_now()
    schedules: dict[str, Callable[[], Any]] = {
        "interval": lambda: every(DAY // timedelta(seconds=1)),
        "crontab": daily,
        "solar": sunset,
        "clocked": lambda: at(now + 5 * DAY),
    }
    foreign(expires=now + timedelta(days=2, hours=1), **{kind: schedules[kind]()})
    follow(now=now)
    plan_due_jobs("real", now=now + 10 * DAY)
    job = Job.objects.get()
    account = account_of(job.pk, now=now + 10 * DAY)
    assert account.closes
    assert account.planned in ({0} if kind == "clocked" else {2, 3})
    assert job.next_due_at is None
    assert bool(job.schedule_error) == (kind == "clocked")


def test_all_that_a_row_says_besides_is_carried_into_job_and_run() -> None:
    foreign(
        "Nightly",
        interval=every(60),
        args='[1, "two"]',
        kwargs='{"three": 3}',
        queue="exports",
        exchange="topics",
        routing_key="a.b",
        headers='{"trace": "x"}',
        priority=0,
        expire_seconds=30,
        description="what it is for",
    )
    now = follow()
    plan_due_jobs("real", now=now + timedelta(minutes=1))
    job, run = Job.objects.get(), Run.objects.get()
    assert (job.description, job.expires_after) == ("what it is for", timedelta(seconds=30))
    assert (run.args, run.params, run.queue) == ([1, "two"], {"three": 3}, "exports")
    assert (
        run.routing
        == job.routing
        == {
            "exchange": "topics",
            "routing_key": "a.b",
            "priority": 0,
            "headers": {"trace": "x", "periodic_task_name": "Nightly"},
        }
    )
    assert run.expires_at == now + timedelta(seconds=90)
    assert run.priority == 0


def test_the_only_run_of_a_one_off_row_waits_for_its_worker_however_long() -> None:
    now = database_now()
    foreign(interval=every(3600), one_off=True)
    follow(now=now)
    plan_due_jobs("real", now=now + HOUR)
    assert Run.objects.get().expires_at is None


def test_no_run_waits_beyond_the_expiry_of_its_row() -> None:
    now = database_now()
    foreign(clocked=at(now + HOUR), one_off=True, expires=now + 2 * HOUR)
    foreign("hourly", interval=every(3600), expires=now + HOUR + timedelta(minutes=5))
    follow(now=now)
    plan_due_jobs("real", now=now + HOUR + timedelta(seconds=1))
    assert dict(Run.objects.values_list("job__job_id", "expires_at")) == {
        "foreign": now + 2 * HOUR,
        "hourly": now + HOUR + timedelta(minutes=5),
    }


def test_an_edited_routing_reaches_the_next_run() -> None:
    row = foreign(interval=every(60), headers="", exchange="")
    follow()
    assert set(Job.objects.get().routing) == {"headers"}
    PeriodicTask.objects.filter(pk=row.pk).update(priority=7)
    follow()
    assert Job.objects.get().routing["priority"] == 7
    assert ScheduleEpoch.objects.count() == 1


def sql(text: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, values)


def spoil_zone(row: PeriodicTask) -> None:
    PeriodicTask.objects.filter(pk=row.pk).update(interval=None, crontab=daily())
    sql("UPDATE django_celery_beat_crontabschedule SET timezone = %s", "Mars/Base")


def spoil_text(row: PeriodicTask) -> None:
    sql(
        "UPDATE django_celery_beat_periodictask SET kwargs = CAST(x'7b22ff' AS TEXT) WHERE id = %s",
        row.pk,
    )


def spoil_date(row: PeriodicTask) -> None:
    sql(
        "UPDATE django_celery_beat_periodictask SET start_time = %s WHERE id = %s",
        "2026-13-45 00:00:00", row.pk,
    )  # fmt: skip


def without_schedule(row: PeriodicTask) -> None:
    PeriodicTask.objects.filter(pk=row.pk).update(interval=None)


def fields(**values: object) -> Callable[[PeriodicTask], object]:
    return lambda row: PeriodicTask.objects.filter(pk=row.pk).update(**values)


def interval(**values: object) -> Callable[[PeriodicTask], object]:
    return lambda row: IntervalSchedule.objects.filter(periodictask=row).update(**values)


def crontab(**values: str) -> Callable[[PeriodicTask], object]:
    def spoil(row: PeriodicTask) -> None:
        new = CrontabSchedule.objects.create(**values)
        PeriodicTask.objects.filter(pk=row.pk).update(interval=None, crontab=new)

    return spoil


def solar(**values: Any) -> Callable[[PeriodicTask], object]:
    def spoil(row: PeriodicTask) -> None:
        new = SolarSchedule.objects.create(**values)
        PeriodicTask.objects.filter(pk=row.pk).update(interval=None, solar=new)

    return spoil


only_sqlite = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="only SQLite stores anything anywhere"
)
WRONG = [
    pytest.param(fields(kwargs="{"), "kwargs: not JSON", id="broken kwargs"),
    pytest.param(fields(args='{"a": 1}'), "args: must be a JSON array", id="args no array"),
    pytest.param(fields(kwargs='{"a": NaN}'), "kwargs: not JSON", id="NaN"),
    pytest.param(fields(kwargs='{"a": "\\u0000"}'), "kwargs: has a NUL", id="NUL"),
    pytest.param(fields(args="[" * 100_000), "args: not JSON", id="deep"),
    pytest.param(fields(headers="[]"), "headers: must be a JSON object", id="headers"),
    pytest.param(interval(every=0), "1 second to 100 years", id="interval 0"),
    pytest.param(interval(every=-5), "1 second to 100 years", id="interval negative"),
    pytest.param(interval(period="parsecs"), "interval: ", id="period"),
    pytest.param(
        interval(every=2_000_000_000, period="days"), "interval: ", id="interval too long"
    ),
    pytest.param(crontab(minute="61"), "minute='61'", id="minute 61"),
    pytest.param(spoil_zone, "cannot be read", id="zone"),
    pytest.param(without_schedule, "schedule: none is set", id="no schedule"),
    pytest.param(
        solar(event="moonrise", latitude=0, longitude=0), "event='moonrise'", id="moonrise"
    ),
    pytest.param(solar(event="sunset", latitude=91, longitude=0), "latitude=91", id="latitude"),
    pytest.param(spoil_text, "cannot be read", id="no UTF-8", marks=only_sqlite),
    pytest.param(spoil_date, "cannot be read", id="no date", marks=only_sqlite),
]


@pytest.mark.parametrize(("spoil", "reason"), WRONG)
def test_a_row_that_cannot_be_followed_is_set_aside_and_stops_no_other(
    spoil: Callable[[PeriodicTask], object], reason: str
) -> None:
    foreign("before", interval=every(60))
    wrong = foreign("wrong", interval=every(60))
    foreign("after", interval=every(60))
    spoil(wrong)
    follow()
    jobs = {job.job_id: job for job in Job.objects.all()}
    assert reason in jobs["wrong"].schedule_error
    assert (jobs["wrong"].enabled, jobs["wrong"].next_due_at) == (True, None)
    assert not ScheduleEpoch.objects.filter(job=jobs["wrong"]).exists()
    for name in ("before", "after"):
        assert (jobs[name].schedule_error, jobs[name].next_due_at is None) == ("", False)


@pytest.mark.parametrize(("spoil", "reason"), WRONG)
def test_an_edit_that_cannot_be_followed_is_told_and_the_job_goes_on_until_it_is_corrected(
    spoil: Callable[[PeriodicTask], object], reason: str
) -> None:
    good = every(60)
    row = foreign(interval=good, kwargs='{"a": 1}')
    now = follow()
    due = Job.objects.get().next_due_at
    spoil(row)
    follow(now=now)
    job = Job.objects.get()
    assert reason in job.schedule_error
    assert (job.next_due_at, job.params) == (due, {"a": 1})
    PeriodicTask.objects.filter(pk=row.pk).update(
        **dict.fromkeys(("crontab", "solar", "start_time")),
        interval=every(60), args="[]", kwargs='{"a": 1}', headers="{}",
    )  # fmt: skip
    follow(now=now)
    job.refresh_from_db()
    assert (job.schedule_error, job.next_due_at is None) == ("", False)


NEVER = [
    pytest.param(
        crontab(minute="0", hour="0", day_of_month="30", month_of_year="2"), id="30 February"
    ),
    pytest.param(solar(event="sunrise", latitude=90, longitude=0), id="sunrise at the pole"),
    pytest.param(fields(expires=datetime(2020, 1, 1, tzinfo=UTC)), id="expired"),
    pytest.param(
        fields(
            start_time=datetime(2999, 1, 2, tzinfo=UTC), expires=datetime(2999, 1, 1, tzinfo=UTC)
        ),
        id="expires before its start",
    ),
]


@pytest.mark.parametrize("spoil", NEVER)
def test_a_schedule_that_never_fires_says_so_and_goes_on_saying_so(
    spoil: Callable[[PeriodicTask], object],
) -> None:
    row = foreign(interval=every(60))
    foreign("other", interval=every(60))
    spoil(row)
    for _ in range(2):
        follow()
        job = Job.objects.get(schedule=row)
        assert job.schedule_error.startswith("will not fire: ")
        assert (job.next_due_at, ScheduleEpoch.objects.filter(job=job).count()) == (None, 1)
    assert Job.objects.exclude(schedule=row).get().next_due_at is not None
    good = every(90)
    PeriodicTask.objects.filter(pk=row.pk).update(
        interval=good, crontab=None, solar=None, expires=None, start_time=None
    )
    follow()
    job.refresh_from_db()
    assert (job.schedule_error, job.next_due_at is None) == ("", False)


def test_without_ephem_a_solar_row_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ephem", None)
    foreign(solar=sunset())
    follow()
    assert "--extra solar" in Job.objects.get().schedule_error


def test_a_row_that_is_disabled_and_broken_at_once_stops() -> None:
    row = foreign(interval=every(60))
    follow()
    PeriodicTask.objects.filter(pk=row.pk).update(enabled=False, kwargs="{")
    now = follow()
    job = Job.objects.get()
    assert (job.enabled, job.next_due_at) == (False, None)
    assert "kwargs" in job.schedule_error
    assert ScheduleEpoch.objects.get().to_at == now


def test_a_row_that_the_database_refuses_as_a_job_is_still_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    foreign("refused", interval=every(60))
    foreign("whole", interval=every(60))

    def nonsense(row: PeriodicTask, *_: object, **__: object) -> dict[str, object]:
        return {"enabled": True, "priority": "high" if row.name == "refused" else 0}

    monkeypatch.setattr("scheduling.engine.adoption.foreign_rows.job_fields", nonsense)
    follow()
    jobs = {job.job_id: job for job in Job.objects.all()}
    assert "cannot be read" in jobs["refused"].schedule_error
    assert jobs["whole"].next_due_at is not None


def test_a_row_that_is_deleted_and_made_again_by_its_name_gets_its_job_back() -> None:
    foreign("Nightly", interval=every(60))
    now = follow()
    job = Job.objects.get()
    PeriodicTask.objects.all().delete()
    follow(now=now + timedelta(seconds=90))
    row = foreign("Nightly", interval=every(30), kwargs='{"a": 1}')
    later = follow(now=now + timedelta(seconds=200))
    again = Job.objects.get()
    assert (again.pk, again.schedule_id, again.params) == (job.pk, row.pk, {"a": 1})
    assert again.next_due_at == later + timedelta(seconds=30)
    assert account_of(job.pk, now=later + HOUR).closes


def test_thousands_of_rows_are_adopted_in_batches() -> None:
    shared = every(3600)
    PeriodicTask.objects.bulk_create(
        PeriodicTask(name=f"task {number}", task="t", interval=shared) for number in range(1000)
    )
    commits = 0

    def count(execute: Callable[..., object], statement: str, *rest: object) -> object:
        nonlocal commits
        commits += statement.startswith(("SAVEPOINT", "BEGIN"))
        return execute(statement, *rest)

    with connection.execute_wrapper(count):
        follow()
    assert ScheduleEpoch.objects.filter(to_at=None).count() == 1000
    assert commits <= 3 * 1000 / 100


@pytest.mark.django_db(transaction=True)
def test_two_beats_that_adopt_at_once_make_one_job_a_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shared = every(3600)
    PeriodicTask.objects.bulk_create(
        PeriodicTask(name=f"task {number}", task="t", interval=shared) for number in range(400)
    )
    errors: list[Exception] = []
    start = threading.Barrier(2)

    def beat() -> None:
        try:
            start.wait(10)
            follow()
        except Exception as error:  # noqa: BLE001 told by the thread that asserts
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=beat) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert "schedules_not_followed" not in caplog.text
    assert Job.objects.count() == ScheduleEpoch.objects.count() == 400
    assert not Job.objects.exclude(schedule_error="").exists()
