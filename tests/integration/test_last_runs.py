"""Periodic tasks show when they were last run, which nobody may take for an edit of them."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import ClockedSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from opsproject.celery import app
from scheduling.clock import database_now
from scheduling.engine.adoption.adopt import Adoption
from scheduling.engine.adoption.changes import Changes
from scheduling.engine.adoption.scan import ROUND_SECONDS
from scheduling.engine.plan import plan_due_jobs
from scheduling.models import Job, Run

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


def follow(beat: Adoption, *, now: datetime, monotonic: float = 0.0) -> None:
    """Let a beat look at everything twice, as it does every 30 seconds."""
    for at in (monotonic, monotonic + ROUND_SECONDS):
        beat.follow(now=now, monotonic=at)
        while beat.behind:
            beat.follow(now=now, monotonic=at)


def hourly(name: str) -> PeriodicTask:
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.HOURS)
    return PeriodicTask.objects.create(name=name, task="theirs.task", interval=every)


def test_a_planned_tick_is_noted_on_its_row() -> None:
    row, other = hourly("theirs"), hourly("not due")
    beat, now = Adoption(app, "real"), database_now()
    follow(beat, now=now)
    Job.objects.filter(job_id="not-due").update(next_due_at=now + 9 * HOUR)
    for hour in (1, 2):
        plan_due_jobs("real", now=now + hour * HOUR)
        Run.objects.update(state="done", finished_at=now)
    row.refresh_from_db()
    assert (row.last_run_at, row.total_run_count) == (now + 2 * HOUR, 2)
    other.refresh_from_db()
    assert (other.last_run_at, other.total_run_count) == (None, 0)


def test_ticks_that_are_caught_up_count_each() -> None:
    row = hourly("theirs")
    now = database_now()
    follow(Adoption(app, "real"), now=now)
    Job.objects.update(misfire="all", overlap="queue")
    plan_due_jobs("real", now=now + 3 * HOUR)
    row.refresh_from_db()
    assert row.total_run_count == Run.objects.count() == 3


def test_what_is_skipped_is_no_run() -> None:
    row = hourly("theirs")
    now = database_now()
    follow(Adoption(app, "real"), now=now)
    for hour in (1, 2, 3):  # and the first run never ends
        plan_due_jobs("real", now=now + hour * HOUR)
    row.refresh_from_db()
    assert (row.last_run_at, row.total_run_count) == (now + HOUR, 1)


def test_a_one_off_row_is_left_as_stock_beat_leaves_it() -> None:
    now = database_now()
    row = PeriodicTask.objects.create(
        name="once", task="theirs.task", one_off=True,
        clocked=ClockedSchedule.objects.create(clocked_time=now + HOUR),
    )  # fmt: skip
    follow(Adoption(app, "real"), now=now)
    plan_due_jobs("real", now=now + HOUR)
    row.refresh_from_db()
    assert Run.objects.count() == 1
    assert (row.enabled, row.last_run_at, row.total_run_count) == (False, now + HOUR, 0)


def test_nobody_takes_it_for_an_edit(monkeypatch: pytest.MonkeyPatch) -> None:
    row = hourly("theirs")
    beat, changes, now = Adoption(app, "real"), Changes(), database_now()
    follow(beat, now=now)
    changes.hear(now=now)
    said, changed_at = PeriodicTasks.last_change(), row.date_changed  # type: ignore[no-untyped-call]

    plan_due_jobs("real", now=now + HOUR)
    row.refresh_from_db()
    assert row.total_run_count == 1
    assert PeriodicTasks.last_change() == said  # type: ignore[no-untyped-call]
    assert row.date_changed == changed_at
    assert changes.hear(now=now) is None

    looked_at: list[Sequence[int]] = []
    monkeypatch.setattr("scheduling.engine.adoption.adopt.read_rows", looked_at.append)
    follow(beat, now=now + HOUR, monotonic=3 * ROUND_SECONDS)
    assert looked_at == []


def test_however_many_are_due_they_are_noted_in_one_statement() -> None:
    for number in range(20):
        hourly(f"theirs-{number}")
    now = database_now()
    follow(Adoption(app, "real"), now=now)
    with CaptureQueriesContext(connection) as asked:
        plan_due_jobs("real", now=now + HOUR)
    about = [query["sql"] for query in asked if "django_celery_beat_periodictask" in query["sql"]]
    assert len([sql for sql in about if sql.startswith("UPDATE")]) == 1
    assert len(about) <= 2
    assert set(PeriodicTask.objects.values_list("total_run_count", flat=True)) == {1}


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")
def test_a_row_that_somebody_is_saving_keeps_no_beat_waiting() -> None:
    held, free = hourly("held"), hourly("free")
    now = database_now()
    follow(Adoption(app, "real"), now=now)
    with _saved_elsewhere(held):
        plan_due_jobs("real", now=now + HOUR)
        held.refresh_from_db()
        free.refresh_from_db()
        assert (held.total_run_count, free.total_run_count) == (0, 1)
    assert Run.objects.count() == 2


@contextmanager
def _saved_elsewhere(row: PeriodicTask) -> Iterator[None]:
    """Hold a row in a transaction of another connection."""
    saved, done = threading.Event(), threading.Event()

    def save() -> None:
        with transaction.atomic():
            PeriodicTask.objects.filter(pk=row.pk).update(description="new")
            saved.set()
            done.wait(30)
        connection.close()

    thread = threading.Thread(target=save)
    thread.start()
    try:
        assert saved.wait(10)
        yield
    finally:
        done.set()
        thread.join()
