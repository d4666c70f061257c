"""Changes that nobody tells of are found: bulk operations, raw SQL, shared schedule rows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import Model, QuerySet
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
    SolarSchedule,
)

from opsproject.celery import app
from scheduling.clock import database_now
from scheduling.engine.adoption.adopt import Adoption
from scheduling.engine.adoption.fingerprints import BUCKET, FEWEST_ROWS, Fingerprints
from scheduling.engine.adoption.scan import ROUND_SECONDS
from scheduling.engine.plan import plan_due_jobs
from scheduling.ledger import account_of
from scheduling.models import Job, ScheduleEpoch

pytestmark = pytest.mark.django_db

MANY = 3 * FEWEST_ROWS + 7


class Beat:
    """A beat's adoption, whose monotonic clock the test moves."""

    def __init__(self) -> None:
        self.adoption = Adoption(app, "real")
        self.monotonic = 0.0
        self.catch_up()

    def catch_up(self, *, now: datetime | None = None) -> None:
        """Let it look until it has nothing left to look at."""
        for _ in range(10_000):
            self.adoption.follow(now=now or database_now(), monotonic=self.monotonic)
            if not self.adoption.behind:
                return
        raise AssertionError("the beat never gets in step")

    def walk_a_round(self, *, now: datetime | None = None) -> None:
        """Let the time of a round pass, and what is slow about it."""
        self.monotonic += ROUND_SECONDS
        self.adoption.follow(now=now or database_now(), monotonic=self.monotonic)
        self.monotonic += ROUND_SECONDS + 1
        self.catch_up(now=now)


def tasks(count: int, **fields: Any) -> list[PeriodicTask]:
    """Make rows as a migration does: in bulk, without a signal."""
    return PeriodicTask.objects.bulk_create(
        PeriodicTask(name=f"task {number}", task="tests.task", **fields) for number in range(count)
    )


def every(seconds: int) -> IntervalSchedule:
    return IntervalSchedule.objects.create(every=seconds, period=IntervalSchedule.SECONDS)


def test_rows_made_in_bulk_are_adopted_within_a_round() -> None:
    shared = every(60)
    beat = Beat()
    tasks(MANY, interval=shared)
    beat.catch_up()
    assert not Job.objects.exists()
    beat.walk_a_round()
    assert Job.objects.filter(enabled=True, next_due_at__isnull=False).count() == MANY
    assert ScheduleEpoch.objects.filter(to_at=None).count() == MANY


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"kwargs": '{"a": 2}'},
        {"queue": "elsewhere"},
        {"priority": 9},
        {"description": "what it is for"},
        {"expire_seconds": 17},
        {"one_off": True},
    ],
)
def test_an_update_of_one_of_many_rows_is_found(change: dict[str, object]) -> None:
    rows = tasks(MANY, interval=every(60))
    beat = Beat()
    before = {job.pk: vars(job) for job in Job.objects.all()}
    PeriodicTask.objects.filter(pk=rows[-3].pk).update(**change)
    beat.catch_up()
    assert {job.pk for job in Job.objects.all() if differs(job, before)} == set()
    beat.walk_a_round()
    changed = [job for job in Job.objects.all() if differs(job, before)]
    assert [job.schedule_id for job in changed] == [rows[-3].pk]


def differs(job: Job, before: dict[int, dict[str, object]]) -> bool:
    return any(
        value != before[job.pk][name] for name, value in vars(job).items() if name != "_state"
    )


def test_bulk_update_is_found_in_every_row_that_it_changed() -> None:
    rows = tasks(10, interval=every(60))
    beat = Beat()
    for row in rows[::2]:
        row.task = "tests.other"
    PeriodicTask.objects.bulk_update(rows, ["task"])
    beat.walk_a_round()
    assert Job.objects.filter(task="tests.other").count() == 5


def test_an_update_of_a_shared_interval_opens_new_epochs_for_all_who_share_it() -> None:
    shared = every(10)
    tasks(3, interval=shared)
    PeriodicTask.objects.create(name="alone", task="tests.task", interval=every(10))
    beat = Beat()
    later = database_now() + timedelta(seconds=25)
    plan_due_jobs("real", now=later)
    IntervalSchedule.objects.filter(pk=shared.pk).update(every=3600)
    at = later + timedelta(seconds=20)
    beat.walk_a_round(now=at)
    for job in Job.objects.filter(job_id__startswith="task"):
        old, new = ScheduleEpoch.objects.filter(job=job).order_by("id")
        assert (old.to_at, new.from_at, new.spec["every_seconds"]) == (at, at, 3600)
        account = account_of(job.pk, now=at + timedelta(hours=2))
        assert account.closes
        assert account.planned >= 4 + 2
    assert ScheduleEpoch.objects.filter(job__job_id="alone").count() == 1


CHANGES: dict[str, tuple[Callable[[], Model], dict[str, object]]] = {
    "interval": (lambda: every(60), {"every": 61}),
    "crontab": (lambda: CrontabSchedule.objects.create(hour="3"), {"hour": "4"}),
    "crontab zone": (
        lambda: CrontabSchedule.objects.create(hour="3"),
        {"timezone": "Asia/Seoul"},
    ),
    "solar": (
        lambda: SolarSchedule.objects.create(event="sunset", latitude=52, longitude=13),
        {"latitude": 48},
    ),
    "clocked": (
        lambda: ClockedSchedule.objects.create(clocked_time=datetime(2999, 1, 1, tzinfo=UTC)),
        {"clocked_time": datetime(2999, 1, 2, tzinfo=UTC)},
    ),
}


def schedule_field(kind: str) -> str:
    return kind.split(maxsplit=1)[0]


@pytest.mark.parametrize("kind", sorted(CHANGES))
def test_an_update_of_any_shared_schedule_row_is_found(kind: str) -> None:
    make, change = CHANGES[kind]
    schedule = make()
    tasks(2, **{schedule_field(kind): schedule})
    beat = Beat()
    due = list(Job.objects.order_by("id").values_list("next_due_at", flat=True))
    QuerySet(type(schedule)).filter(pk=schedule.pk).update(**change)
    beat.walk_a_round()
    moved = list(Job.objects.order_by("id").values_list("next_due_at", flat=True))
    assert all(old != new for old, new in zip(due, moved, strict=True))


@pytest.mark.parametrize("kind", sorted(CHANGES))
def test_a_saved_schedule_row_is_followed_at_once(kind: str) -> None:
    make, change = CHANGES[kind]
    schedule = make()
    tasks(2, **{schedule_field(kind): schedule})
    beat = Beat()
    for name, value in change.items():
        setattr(schedule, name, value)
    schedule.save()
    beat.monotonic += 1
    beat.catch_up()
    assert ScheduleEpoch.objects.filter(to_at__isnull=False).count() == 2


def test_the_admins_enable_and_disable_are_followed_at_once() -> None:
    rows = tasks(3, interval=every(60))
    beat = Beat()
    PeriodicTask.objects.filter(pk=rows[1].pk).update(enabled=False)
    PeriodicTasks.update_changed()  # type: ignore[no-untyped-call] # it has no types
    beat.monotonic += 1
    beat.catch_up()
    assert list(Job.objects.order_by("id").values_list("enabled", flat=True)) == [
        True, False, True,
    ]  # fmt: skip


def test_a_saved_row_is_followed_at_once_and_costs_no_round() -> None:
    row, *_ = tasks(MANY, interval=every(60))
    PeriodicTask.objects.update(date_changed=database_now() - timedelta(hours=1))
    beat = Beat()
    row.kwargs = '{"a": 1}'
    row.save()  # type: ignore[no-untyped-call] # it has no types
    beat.monotonic += 1
    with CountingPages() as pages:
        beat.catch_up()
    assert Job.objects.get(schedule=row).params == {"a": 1}
    assert pages.of_tasks == 0


class CountingPages:
    """Counts the pages of periodic tasks that are walked over meanwhile."""

    def __enter__(self) -> Self:
        self.of_tasks = 0
        self._wrapped = connection.execute_wrapper(self._count)
        self._wrapped.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._wrapped.__exit__(*error)  # type: ignore[arg-type]

    def _count(self, execute: Callable[..., object], sql: str, *rest: object) -> object:
        walked = "django_celery_beat_periodictask" in sql and "ORDER BY" in sql
        self.of_tasks += walked and "date_changed" not in sql and ">=" in sql
        return execute(sql, *rest)


@pytest.mark.parametrize("how", ["delete", "queryset", "schedule"])
def test_deleted_rows_leave_no_account_open(how: str) -> None:
    shared = every(10)
    rows = tasks(5, interval=shared)
    beat = Beat()
    at = database_now() + timedelta(seconds=25)
    if how == "delete":
        for row in rows:
            row.delete()  # type: ignore[no-untyped-call] # it has no types
    elif how == "queryset":
        PeriodicTask.objects.filter(pk__in=[row.pk for row in rows]).delete()
    else:
        shared.delete()
    beat.catch_up(now=at)
    assert not ScheduleEpoch.objects.filter(to_at=None).exists()
    for job in Job.objects.all():
        assert (job.schedule, job.next_due_at) == (None, None)
        account = account_of(job.pk, now=at + timedelta(hours=1))
        assert account.closes
        assert account.planned >= 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL keeps foreign keys always")
@pytest.mark.parametrize("restarted", [True, False])
def test_rows_that_raw_sql_deletes_past_their_foreign_keys_are_missed(restarted: bool) -> None:  # noqa: FBT001 a parameter of the test
    rows = tasks(2 * BUCKET, interval=every(60))
    beat = Beat()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA foreign_keys = OFF")
        cursor.execute(
            "DELETE FROM django_celery_beat_periodictask WHERE id >= %s", [rows[BUCKET // 2].pk]
        )
        cursor.execute("PRAGMA foreign_keys = ON")
    if restarted:
        Beat()
    else:
        beat.walk_a_round()
    assert ScheduleEpoch.objects.filter(to_at=None).count() == BUCKET // 2
    assert Job.objects.filter(schedule=None).count() == 2 * BUCKET - BUCKET // 2


def test_rows_that_raw_sql_deletes_with_their_references_are_missed_too() -> None:
    rows = tasks(3, interval=every(60))
    beat = Beat()
    Job.objects.filter(schedule=rows[1]).update(schedule=None)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_celery_beat_periodictask WHERE id = %s", [rows[1].pk])
    beat.walk_a_round()
    assert ScheduleEpoch.objects.filter(to_at=None).count() == 2


def test_what_was_changed_while_no_beat_ran_is_found_at_the_start() -> None:
    shared = every(60)
    rows = tasks(4, interval=shared)
    Beat()
    IntervalSchedule.objects.update(every=90)
    PeriodicTask.objects.filter(pk=rows[0].pk).update(enabled=False)
    Beat()
    assert ScheduleEpoch.objects.filter(to_at=None, spec__every_seconds=90).count() == 3
    assert not Job.objects.get(schedule=rows[0]).enabled


def test_an_edit_that_two_beats_see_is_applied_once() -> None:
    shared = every(60)
    tasks(3, interval=shared)
    one, other = Beat(), Beat()
    IntervalSchedule.objects.update(every=90)
    one.walk_a_round()
    other.walk_a_round()
    assert ScheduleEpoch.objects.count() == 6
    assert ScheduleEpoch.objects.filter(to_at=None).count() == 3


def test_rows_that_change_places_are_both_found() -> None:
    one, other = tasks(2, interval=every(60))
    beat = Beat()
    PeriodicTask.objects.filter(pk=one.pk).update(task="tests.x", name="held")
    PeriodicTask.objects.filter(pk=other.pk).update(task="tests.y", name=one.name)
    PeriodicTask.objects.filter(pk=one.pk).update(name=other.name)
    beat.walk_a_round()
    assert list(Job.objects.order_by("id").values_list("task", flat=True)) == [
        "tests.x", "tests.y",
    ]  # fmt: skip


def test_a_page_that_failed_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks(3, interval=every(60))
    beat = Beat()
    IntervalSchedule.objects.update(every=90)

    def down(*_: object, **__: object) -> object:
        raise OperationalError("the database is restarting")

    with monkeypatch.context() as broken:
        broken.setattr("scheduling.engine.adoption.adopt.copy_down", down)
        with pytest.raises(OperationalError), transaction.atomic():
            beat.walk_a_round()
    beat.catch_up()
    assert ScheduleEpoch.objects.filter(to_at=None, spec__every_seconds=90).count() == 3


def test_orphans_that_a_failing_database_kept_are_closed_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks(3, interval=every(60))
    beat = Beat()
    PeriodicTask.objects.all().delete()

    def down(*_: object, **__: object) -> object:
        raise OperationalError("the database is restarting")

    with monkeypatch.context() as broken:
        broken.setattr("scheduling.engine.adoption.adopt.close_orphans", down)
        with pytest.raises(OperationalError), transaction.atomic():
            beat.catch_up()
    beat.catch_up()
    assert not ScheduleEpoch.objects.filter(to_at=None).exists()


def looked(table: Fingerprints) -> list[int]:
    found: list[int] = []
    over = False
    while not over:
        keys, over = table.look()
        found += keys
    return found


def test_fingerprints_tell_exactly_the_rows_that_differ() -> None:
    shared = every(60)
    rows = tasks(MANY, interval=shared)
    table = Fingerprints(PeriodicTask, ("task", "enabled"))
    keys = [row.pk for row in rows]
    assert looked(table) == keys
    assert looked(table) == []
    PeriodicTask.objects.filter(pk__in=[rows[5].pk, rows[-1].pk]).update(enabled=False)
    PeriodicTask.objects.filter(pk__in=keys[100 : 100 + 3 * BUCKET]).delete()
    new = PeriodicTask.objects.create(name="new", task="tests.task", interval=shared)
    told = sorted(looked(table))
    assert told == sorted([rows[5].pk, *keys[100 : 100 + 3 * BUCKET], rows[-1].pk, new.pk])
    assert looked(table) == []
