"""Old history becomes daily totals, exactly, whatever holds it back and whoever is killed."""

import itertools
import logging
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from opsproject.celery import app
from scheduling.engine.pruning.cleaner import Cleaner
from scheduling.engine.pruning.old_history import next_page
from scheduling.engine.pruning.prune import prune
from scheduling.engine.schedules import Schedule
from scheduling.engine.tick import Engine
from scheduling.ledger import account_of
from scheduling.models import Attempt, Job, LedgerTotal, Run, RunEvent, ScheduleEpoch, SkippedTicks
from scheduling.recurrence import Interval
from scheduling.states import RunState, Trigger
from scheduling.tally import start_of
from tests.cluster import CHECKOUT, Cluster
from tests.conftest import JobMaker
from tests.past import run_of, write_past
from tests.servers import wait_for

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEGIN = datetime.now(UTC).replace(hour=0, minute=30, second=0, microsecond=0) - 200 * DAY
NOW = BEGIN + 100 * DAY  # ten days of the hundred are old
OLD_TICKS = 10 * 24 - 1  # from the first, at 01:30, to the last of the tenth day


@pytest.fixture
def old_job(make_job: JobMaker) -> Callable[..., Job]:
    """Return a function that makes an hourly job with a past of which some is old."""

    def make(job_id: str = "job", *, until: datetime = BEGIN + 15 * DAY, **given: object) -> Job:
        job = make_job(job_id, schedule=Schedule(recurrence=Interval(BEGIN, HOUR)), **given)
        ScheduleEpoch.objects.filter(job=job).update(from_at=BEGIN)
        job.planned_until = BEGIN
        write_past(job, until=until)
        return job

    return make


def prune_all(now: datetime = NOW, *, rows: int = 1_000, scope: str = "real") -> int:
    page = next_page(scope, after=0, now=now)
    waiting, total = page.old if page else [], 0
    while waiting:
        pruned = prune(waiting, now=now, rows=rows)
        waiting, total = pruned.waiting, total + pruned.rows
    return total


def totals(job: Job) -> Counter[str]:
    found: Counter[str] = Counter()
    for total in LedgerTotal.objects.filter(job=job):
        found[total.verdict] += total.count
    return found


def oldest(job: Job) -> Run:
    return Run.objects.filter(job=job, scheduled_for__isnull=False).earliest("scheduled_for")


def test_what_is_older_than_the_policy_becomes_totals_and_goes_with_all_that_hangs_on_it(
    old_job: Callable[..., Job],
) -> None:
    job = old_job()
    rows, before = Run.objects.count(), account_of(job.pk, now=NOW)
    assert prune_all(rows=50) == OLD_TICKS
    edge = start_of((BEGIN + 10 * DAY).date())
    assert SkippedTicks.objects.earliest("until").until == edge + timedelta(minutes=30)
    assert oldest(job).scheduled_for == edge + timedelta(minutes=90)
    assert totals(job) == {"done": 192, "skipped:overlap": 47}
    assert Run.objects.count() == rows - 192
    assert Attempt.objects.count() == RunEvent.objects.count() == Run.objects.count()
    assert account_of(job.pk, now=NOW) == before


def test_totals_are_those_of_the_day_of_the_tick(old_job: Callable[..., Job]) -> None:
    job = old_job()
    prune_all()
    ticks = Counter[date]()
    for total in LedgerTotal.objects.filter(job=job):
        ticks[total.day] += total.count
    first = BEGIN.date()
    assert ticks == {first: 23, **{first + n * DAY: 24 for n in range(1, 10)}}


def test_nothing_is_pruned_twice(old_job: Callable[..., Job]) -> None:
    job = old_job()
    prune_all()
    before = totals(job)
    assert prune_all() == 0
    assert totals(job) == before


def test_later_history_joins_the_totals_of_the_days_that_are_there(
    old_job: Callable[..., Job],
) -> None:
    job = old_job()
    held = Run.objects.filter(job=job).order_by("scheduled_for")[30]
    Run.objects.filter(pk=held.pk).update(finished_at=NOW)
    prune_all()
    assert prune_all() == 0
    Run.objects.filter(pk=held.pk).update(finished_at=held.finished_at)
    prune_all()
    assert totals(job) == {"done": 192, "skipped:overlap": 47}
    assert account_of(job.pk, now=NOW).closes


@pytest.mark.parametrize(
    "change",
    [{"state": RunState.PENDING, "finished_at": None}, {"finished_at": NOW - DAY}],
    ids=["open", "ended lately"],
)
def test_a_run_that_is_not_old_yet_holds_the_edge_back(
    old_job: Callable[..., Job], change: dict[str, object]
) -> None:
    job = old_job()
    held = Run.objects.filter(job=job).order_by("scheduled_for")[50]
    Run.objects.filter(pk=held.pk).update(**change)
    prune_all()
    assert oldest(job).pk == held.pk
    job.refresh_from_db()
    assert job.pruned_until is not None
    assert held.scheduled_for is not None
    assert job.pruned_until < held.scheduled_for
    assert account_of(job.pk, now=NOW).closes


def test_a_stretch_of_skipped_ticks_that_reaches_over_the_edge_is_cut_to_the_tick(
    old_job: Callable[..., Job],
) -> None:
    job = old_job(until=BEGIN + 5 * DAY)
    epoch = ScheduleEpoch.objects.get(job=job)
    assert job.planned_until is not None
    span = SkippedTicks.objects.create(
        job=job, epoch=epoch, reason="paused", count=95 * 24, after=job.planned_until, until=NOW
    )
    Job.objects.update(planned_until=NOW)
    old_job("another")  # with the last event
    prune_all()
    span.refresh_from_db()
    old = totals(job)["skipped:paused"]
    assert (old, span.count) == (5 * 24 - 1, 90 * 24 + 1)
    assert span.after == start_of((BEGIN + 10 * DAY).date()) - timedelta(microseconds=1)
    assert account_of(job.pk, now=NOW).closes


def test_a_pause_of_years_is_folded_month_by_month(make_job: JobMaker) -> None:
    job = make_job(schedule=Schedule(recurrence=Interval(BEGIN, HOUR)))
    begin = BEGIN - 1_000 * DAY
    epoch = ScheduleEpoch.objects.get(job=job)
    ScheduleEpoch.objects.update(from_at=begin, spec=Interval(begin, HOUR).spec())
    SkippedTicks.objects.create(
        job=job, epoch=epoch, reason="paused", count=900 * 24, after=begin, until=BEGIN - 100 * DAY
    )
    Job.objects.update(planned_until=BEGIN - 100 * DAY)
    page = next_page("real", after=0, now=BEGIN)
    assert page is not None
    first = prune(page.old, now=BEGIN, rows=100)
    assert first.waiting == [job.pk]
    assert LedgerTotal.objects.count() == 32
    prune_all(BEGIN)
    assert totals(job) == {"skipped:paused": 900 * 24}
    assert not SkippedTicks.objects.exists()
    assert account_of(job.pk, now=BEGIN - 100 * DAY).closes


def test_runs_without_a_tick_are_counted_beside_the_account(old_job: Callable[..., Job]) -> None:
    job = old_job()
    for trigger, state, reason in [
        (Trigger.MANUAL, RunState.DONE, ""),
        (Trigger.MANUAL, RunState.SKIPPED, "expired"),
        (Trigger.STARTUP, RunState.FAILED, "ValueError"),
        (Trigger.STARTUP, RunState.DONE, ""),
    ]:
        run_of(
            job, trigger=trigger, state=state, reason=reason, created_at=BEGIN, finished_at=BEGIN
        ).save()
    before = account_of(job.pk, now=NOW)
    prune_all()
    assert {name: n for name, n in totals(job).items() if ":" in name} == {
        "skipped:overlap": 47, "manual:done": 1, "manual:skipped:expired": 1, "startup:failed": 1,
    }  # fmt: skip
    assert account_of(job.pk, now=NOW) == before


def test_the_newest_start_up_run_stays_because_it_is_what_keeps_a_second_one_out(
    old_job: Callable[..., Job],
) -> None:
    job = old_job()
    for _ in range(2):
        newest = run_of(job, trigger=Trigger.STARTUP, created_at=BEGIN, finished_at=BEGIN)
        newest.save()
    prune_all()
    assert Run.objects.get(trigger=Trigger.STARTUP).pk == newest.pk
    assert totals(job)["startup:done"] == 1


def test_the_run_of_the_last_event_stays_so_that_numbers_are_never_given_twice(
    old_job: Callable[..., Job],
) -> None:
    old_job(until=BEGIN + 5 * DAY)
    last = RunEvent.objects.latest("seq")
    prune_all()
    assert RunEvent.objects.get() == last


def test_a_deleted_job_is_pruned_too_and_another_scope_is_not(
    old_job: Callable[..., Job],
) -> None:
    deleted, other = old_job("deleted"), old_job("other", scope="mock")
    Job.objects.filter(pk=deleted.pk).update(deleted_at=NOW)
    prune_all()
    assert totals(deleted)["done"] == 192
    assert not totals(other)


def test_history_that_cannot_be_read_does_not_keep_the_others_from_being_pruned(
    old_job: Callable[..., Job], caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound = old_job("broken"), old_job("sound")
    ScheduleEpoch.objects.filter(job=broken).update(kind="nonsense")
    with caplog.at_level(logging.WARNING):
        prune_all()
    assert not totals(broken)
    assert totals(sound)["done"] == 192
    assert [record.job_id for record in caplog.records if record.msg == "history_not_prunable"] == [  # type: ignore[attr-defined]
        "broken"
    ]


def test_a_job_whose_totals_cannot_be_written_does_not_keep_the_others_from_being_pruned(
    old_job: Callable[..., Job],
) -> None:
    broken, sound = old_job("broken"), old_job("sound")
    LedgerTotal.objects.create(job=broken, day=BEGIN.date(), verdict="done", count=2**63 - 1)
    prune_all()
    assert totals(broken) == {"done": 2**63 - 1}
    assert totals(sound)["done"] == 192


@pytest.mark.parametrize("count", [1, 99])
def test_damage_stays_visible_in_the_totals(old_job: Callable[..., Job], count: int) -> None:
    job = old_job(until=BEGIN + 5 * DAY)
    epoch = ScheduleEpoch.objects.get(job=job)
    assert job.planned_until is not None
    SkippedTicks.objects.create(
        job=job, epoch=epoch, reason="paused", count=count,
        after=job.planned_until, until=job.planned_until + DAY,
    )  # fmt: skip
    Job.objects.update(planned_until=BEGIN + 6 * DAY)
    old_job("another")  # with the last event
    prune_all()
    assert totals(job)["skipped:paused"] == count
    account = account_of(job.pk, now=BEGIN + 6 * DAY)
    assert not account.closes
    assert "the totals of that day" in account.problems[0]


def test_two_beats_at_once_fold_each_run_once(
    transactional_db: None, old_job: Callable[..., Job]
) -> None:
    del transactional_db
    jobs = [old_job(f"job-{n}") for n in range(3)]

    def beat() -> None:
        try:
            while prune_all(rows=40):
                pass
        finally:
            connection.close()

    beats = [threading.Thread(target=beat) for _ in range(3)]
    for thread in beats:
        thread.start()
    for thread in beats:
        thread.join()
    for job in jobs:
        assert totals(job) == {"done": 192, "skipped:overlap": 47}
        assert account_of(job.pk, now=NOW).closes


PRUNER = """
import django
django.setup()
from datetime import datetime
from scheduling.engine.pruning.old_history import next_page
from scheduling.engine.pruning.prune import prune
now = datetime.fromisoformat("{now}")
waiting = next_page("real", after=0, now=now).old
print("ready", flush=True)
while waiting:
    waiting = prune(waiting, now=now, rows=5).waiting
"""


def start_pruner(directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRUNER.format(now=NOW.isoformat())],
        cwd=CHECKOUT,
        env={
            **Cluster(directory, "").environment,
            "DJANGO_SETTINGS_MODULE": "opsproject.settings",
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_beat_that_is_killed_while_it_prunes_neither_loses_nor_doubles_a_count(
    transactional_db: None, old_job: Callable[..., Job], tmp_path: Path
) -> None:
    del transactional_db
    job = old_job()
    before = account_of(job.pk, now=NOW)
    rows = Run.objects.count()
    for _ in range(4):
        process = start_pruner(tmp_path)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        left = rows
        wait_for(lambda left=left: Run.objects.count() < left, seconds=20, what="some are pruned")  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        rows = Run.objects.count()
        assert account_of(job.pk, now=NOW) == before
    prune_all()
    assert totals(job) == {"done": 192, "skipped:overlap": 47}


def test_a_beat_prunes_in_its_turns(old_job: Callable[..., Job]) -> None:
    job = old_job()
    Job.objects.update(next_due_at=None)
    engine = Engine(app, scope="real", tick_seconds=0.05)

    def turned_and_pruned() -> bool:
        engine.turn()
        return LedgerTotal.objects.filter(job=job).exists()

    wait_for(turned_and_pruned, seconds=20, what="a turn has pruned")


class Clock:
    """The beat's own clock, moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_cleaner_waits_while_a_tick_is_about_to_fall_due_but_not_for_ever(
    old_job: Callable[..., Job],
) -> None:
    job = old_job(until=NOW)
    clock = Clock()
    cleaner = Cleaner("real", clock=clock)
    assert job.next_due_at is not None
    now = job.next_due_at - timedelta(seconds=0.2)
    cleaner.clean_up(now=now)
    assert not LedgerTotal.objects.exists()
    for _ in range(2):  # it looks at a page, then prunes
        clock.now += 3.1
        cleaner.clean_up(now=now)
    assert LedgerTotal.objects.exists()


def test_a_cleaner_rests_when_all_jobs_have_been_looked_at(
    old_job: Callable[..., Job], django_assert_num_queries: Any
) -> None:
    old_job(until=NOW)
    Job.objects.update(next_due_at=None)
    clock = Clock()
    cleaner = Cleaner("real", clock=clock)
    cleaner.clean_up(now=NOW)
    assert prune_all() == 0
    with django_assert_num_queries(0):
        cleaner.clean_up(now=NOW + DAY)
    clock.now += 3_601
    cleaner.clean_up(now=NOW + DAY)
    assert prune_all(NOW + DAY) == 0


def test_a_batch_grows_while_it_is_quick_and_shrinks_when_it_is_slow(
    old_job: Callable[..., Job],
) -> None:
    old_job(until=NOW)
    clock = Clock()
    cleaner = Cleaner("real", clock=clock)
    size = cleaner.rows
    cleaner.clean_up(now=NOW)
    assert cleaner.rows > size
    slow = Cleaner("real", clock=itertools.count(step=0.15).__next__)
    Job.objects.update(next_due_at=None)
    slow.clean_up(now=NOW + 50 * DAY)
    slow.clean_up(now=NOW + 50 * DAY)
    assert slow.rows < size


BIG_TABLES = re.compile(
    r"(?:SCAN|Seq Scan on) scheduling_(run|attempt|runevent|skippedticks|ledgertotal)\b(?! USING)"
)


def test_no_query_of_pruning_reads_a_whole_table(old_job: Callable[..., Job]) -> None:
    old_job()
    with CaptureQueriesContext(connection) as queries:
        prune_all(rows=50)
    assert len(queries) > 20
    for query in queries:
        if query["sql"].startswith(("SELECT", "UPDATE", "DELETE")):
            plan = plan_of(query["sql"])
            assert not BIG_TABLES.search(plan), f"{query['sql']}\n{plan}"


def plan_of(sql: str) -> str:
    """Return the database's plan, for tables too large to be read as a whole."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        prefix = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        cursor.execute(f"{prefix} {sql}")
        return "\n".join(str(row) for row in cursor.fetchall())
