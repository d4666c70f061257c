"""A turn stays short and cheap, however much there is to do, to keep or to look at."""

from datetime import timedelta
from typing import Any

import pytest
import redis
from celery import Celery
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduling.clock import database_now
from scheduling.engine import candidates, plan
from scheduling.engine.new_run import new_run
from scheduling.engine.schedules import Schedule
from scheduling.engine.tick import Engine
from scheduling.models import Job, Run, RunEvent, WorkerProcess
from scheduling.models.event import EventKind
from scheduling.recurrence import Interval
from scheduling.states import HOLDING_SLOT, OPEN, RunState, Trigger
from scheduling.transitions import open_runs
from tests.conftest import JobMaker
from tests.servers import Valkey, free_port, wait_for

TABLES = ("scheduling_run", "scheduling_job", "scheduling_runevent", "scheduling_attempt")


@pytest.fixture
def broker_url(valkey_server: Valkey) -> str:
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server.url


def engine(broker_url: str, *, tick_seconds: float = 1) -> Engine:
    return Engine(Celery("beat", broker=broker_url), scope="real", tick_seconds=tick_seconds)


def settled(beat: Engine) -> Engine:
    """Let a beat look at all there is to look at."""
    wait_for(
        lambda: beat.turn() > beat.tick_seconds / 2, seconds=20, what="a turn with nothing to do"
    )
    return beat


def run_in(state: RunState, job: Job, **values: Any) -> Run:
    now = database_now()
    run = new_run(job, trigger=Trigger.MANUAL, now=now)
    run.state = state
    if state in HOLDING_SLOT:
        run.attempt, run.attempt_id, run.queued_at, run.published_at = 1, run.id, now, now
    if state in (RunState.RUNNING, RunState.STOPPING):
        run.started_at, run.deadline_at = now, now + timedelta(hours=1)
    for name, value in values.items():
        setattr(run, name, value)
    open_runs([run])
    return run


def test_much_that_is_due_is_done_page_by_page_without_a_pause(
    make_job: JobMaker, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PAGE", 3)
    monkeypatch.setattr(candidates, "PAGE", 2)
    now, hour = database_now(), timedelta(hours=1)
    for n in range(7):
        make_job(f"job-{n}", schedule=Schedule(recurrence=Interval(now - 3 * hour, hour)))
    beat = settled(engine(broker_url))
    Job.objects.update(next_due_at=now, planned_until=now - hour)
    published = []
    while beat.turn() == 0:
        published.append(Run.objects.filter(published_at__isnull=False).count())
    assert published == [2, 4, 6, 7]


def test_without_a_broker_a_beat_waits_between_its_tries(make_job: JobMaker) -> None:
    beat = settled(engine(f"redis://127.0.0.1:{free_port()}/0"))
    for n in range(2):
        run_in(RunState.READY, make_job(f"job-{n}", every=None))
    assert beat.turn() > 0
    assert set(Run.objects.values_list("state", "published_at")) == {(RunState.QUEUED, None)}


def test_what_keeps_the_ledger_in_order_is_not_done_in_every_turn(
    make_job: JobMaker, broker_url: str
) -> None:
    beat = settled(engine(broker_url, tick_seconds=30))
    job = make_job(every=None, max_parallel=5)
    late = run_in(RunState.QUEUED, job, expires_at=database_now() - timedelta(seconds=1))
    beat.turn()
    late.refresh_from_db()
    assert late.state == RunState.QUEUED
    engine(broker_url).turn()
    late.refresh_from_db()
    assert late.state == RunState.SKIPPED


def test_a_beat_wakes_for_the_next_attempt_of_a_run(make_job: JobMaker, broker_url: str) -> None:
    beat = settled(engine(broker_url, tick_seconds=30))
    job = make_job(every=None)
    run_in(RunState.PENDING, job, next_attempt_at=database_now() + timedelta(seconds=5))
    assert 0 < beat.turn() <= 5


def test_a_step_that_fails_keeps_no_other_from_its_work(
    make_job: JobMaker, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("poison")

    monkeypatch.setattr("scheduling.engine.tick.end_pauses", fail)
    monkeypatch.setattr("scheduling.engine.tick.expire_waiting", fail)
    run = run_in(RunState.READY, make_job(every=None))
    RunEvent.objects.create(
        scope="real", kind=EventKind.STARTED, run=run, attempt=1, at=database_now()
    )
    engine(broker_url).turn()
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    assert RunEvent.objects.get().seq == 1


def test_an_idle_turn_asks_few_questions_and_writes_nothing(
    make_job: JobMaker, broker_url: str
) -> None:
    for n in range(5):
        make_job(f"job-{n}", every=3600)
    beat = settled(engine(broker_url, tick_seconds=0))
    turns = []
    for _ in range(5):  # one of them may have a slice of the walk among the schedules
        with CaptureQueriesContext(connection) as asked:
            beat.turn()
        turns.append([query["sql"].lstrip() for query in asked.captured_queries])
    assert min(map(len, turns)) <= 12
    assert all(sql.startswith(("SELECT", "WITH")) for turn in turns for sql in turn)


def test_every_question_of_a_turn_finds_its_rows_by_an_index(
    make_job: JobMaker, broker_url: str
) -> None:
    job = make_job(every=3600, max_parallel=50)
    worker = WorkerProcess.objects.create(
        scope="real", hostname="w", pid=1, pool="prefork", concurrency=1, can_stop=True,
        started_at=database_now(),
    )  # fmt: skip
    for state in OPEN - {RunState.READY}:
        later = database_now() + timedelta(hours=1)
        run_in(state, job, worker=worker, next_attempt_at=later)
    beat = engine(broker_url)
    with CaptureQueriesContext(connection) as asked:
        beat.turn()
    questions = [query["sql"] for query in asked.captured_queries if is_question(query["sql"])]
    assert len(questions) > 10
    for question in questions:
        assert not scanned(question), question


def is_question(sql: str) -> bool:
    return sql.lstrip().startswith(("SELECT", "WITH")) and any(table in sql for table in TABLES)


def scanned(sql: str) -> list[str]:
    """Return the lines of a plan that read one of our growing tables from end to end."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
            lines = [line for (line,) in cursor.fetchall()]
            return [
                line for line in lines if any(f"Seq Scan on {table}" in line for table in TABLES)
            ]
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        lines = [line for *_, line in cursor.fetchall()]
        return [line for line in lines if line.startswith("SCAN") and line.split()[1] in TABLES]
