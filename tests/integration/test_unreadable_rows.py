"""A row that was corrupted by hand stops neither the loop nor the other jobs."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from django.db import DatabaseError, IntegrityError, connection

from scheduling.actions.pause_job import pause_job
from scheduling.actions.retry_runs import retry_runs
from scheduling.clock import database_now
from scheduling.engine.aside import for_runs, set_job_aside, those_that
from scheduling.engine.chains.chain import follow
from scheduling.engine.chains.due_links import tend_chains
from scheduling.engine.liveness import Liveness
from scheduling.engine.new_run import new_run
from scheduling.engine.one_by_one import each_alone
from scheduling.engine.pauses import end_pauses
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.publishing.message import is_routed
from scheduling.engine.publishing.publish import Publisher
from scheduling.engine.publishing.republish import FIRST_WAIT, MissingMessages
from scheduling.engine.recover import (
    PUBLISH_LEASE,
    UNSTARTABLE_GRACE,
    end_unconfirmed_stops,
    expire_waiting,
    fail_unstartable,
    publish_unsent,
    stop_overdue,
    take_from_lost_workers,
)
from scheduling.engine.resolve import resolve_waiting
from scheduling.engine.schedules import Schedule
from scheduling.engine.startup import StartupRuns
from scheduling.engine.tick import OUTAGE_WAIT_SECONDS, Engine
from scheduling.ledger import account_of
from scheduling.ledger.accounts import accounts
from scheduling.models import Attempt, Job, Pause, Run, RunEvent, WorkerProcess
from scheduling.models.event import EventKind
from scheduling.recurrence import Interval
from scheduling.states import HOLDING_SLOT, OPEN, Outcome, RunState, Trigger
from scheduling.transitions import open_runs
from scheduling.worker.attempts import Attempts
from scheduling.worker.recorder import Recorder
from scheduling.worker.stopper import Stopper
from tests.claims import claim_ready
from tests.conftest import OPERATOR, JobMaker
from tests.servers import free_port, wait_for

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
# A duration that Python cannot hold, or that is none.
BAD_TIMEOUT = "'garbage'" if connection.vendor == "sqlite" else "interval '100000000 years'"
NO_INSTANT = "'9999-13-45 00:00:00'" if connection.vendor == "sqlite" else "'infinity'"
NO_TEXT = "CAST(X'80FF' AS TEXT)"

sqlite_only = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="only SQLite stores any type anywhere"
)


def corrupt(row: Job | Run, column: str = "timeout", value: str = BAD_TIMEOUT) -> None:
    with connection.cursor() as cursor:
        key = row.pk.hex if isinstance(row, Run) and connection.vendor == "sqlite" else row.pk
        table = row._meta.db_table  # noqa: SLF001
        cursor.execute(f"UPDATE {table} SET {column} = {value} WHERE id = %s", [key])  # noqa: S608


def run_in(state: RunState, job: Job, **values: object) -> Run:
    now = database_now()
    run = new_run(job, trigger=Trigger.MANUAL, now=now)
    run.state = state
    if state in HOLDING_SLOT:
        run.attempt, run.attempt_id, run.queued_at = 1, run.id, now
    if state in (RunState.RUNNING, RunState.STOPPING):
        run.started_at = now
    for name, value in values.items():
        setattr(run, name, value)
    open_runs([run])
    if run.started_at:
        stop_for = Outcome.CANCELLED if state == RunState.STOPPING else ""
        Attempt.objects.create(
            id=run.id, run=run, number=1, started_at=run.started_at, stop_for=stop_for
        )
    return run


def state_of(run: Run) -> str:
    return Run.objects.values_list("state", flat=True).get(pk=run.pk)


def verdict_of(run: Run) -> tuple[str, str, str]:
    return Run.objects.values_list("state", "reason", "error").get(pk=run.pk)


def worker(**ended: datetime) -> WorkerProcess:
    return WorkerProcess.objects.create(
        scope="real", hostname="w", pid=1, pool="prefork", concurrency=1, can_stop=True,
        started_at=database_now(), **ended,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("timeout", BAD_TIMEOUT),
        pytest.param("attempt_id", "'xyz'", marks=sqlite_only),
        pytest.param("attempt", "'many'", marks=sqlite_only),
        pytest.param("task", NO_TEXT, marks=sqlite_only),
        pytest.param("queue", NO_TEXT, marks=sqlite_only),
    ],
)
def test_a_run_that_cannot_be_read_ends_and_the_others_are_claimed(
    column: str, value: str, make_job: JobMaker, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = (run_in(RunState.READY, make_job(name, every=None)) for name in ("good", "bad"))
    corrupt(bad, column, value)
    with caplog.at_level(logging.WARNING):
        assert [run.pk for run in claim_ready("real", now=database_now())] == [good.pk]
        assert claim_ready("real", now=database_now()) == []
    state, reason, error = verdict_of(bad)
    assert (state, reason) == (RunState.FAILED, "unreadable")
    assert error.startswith(f"{column} cannot be read (")
    assert error.endswith("put it right with SQL, then retry the run")
    assert [record.msg for record in caplog.records] == ["failed_together", "run_set_aside"]


def test_the_end_of_a_run_that_cannot_be_read_is_told(make_job: JobMaker) -> None:
    bad = run_in(RunState.READY, make_job(every=None))
    corrupt(bad)
    claim_ready("real", now=database_now())
    assert list(RunEvent.objects.values_list("run", "kind")) == [(bad.pk, EventKind.FAILED)]


def test_a_run_that_was_put_right_can_be_retried(make_job: JobMaker) -> None:
    bad = run_in(RunState.READY, make_job(every=None))
    corrupt(bad)
    claim_ready("real", now=database_now())
    corrupt(bad, value="NULL")
    retry_runs([bad.pk], OPERATOR)
    assert [run.pk for run in claim_ready("real", now=database_now())] == [bad.pk]


def test_the_account_closes_over_a_tick_whose_run_cannot_be_read(make_job: JobMaker) -> None:
    job = make_job()
    assert job.next_due_at is not None
    plan_due_jobs("real", now=job.next_due_at)
    corrupt(Run.objects.get())
    claim_ready("real", now=job.next_due_at)
    assert state_of(Run.objects.defer("timeout").get()) == RunState.FAILED
    account = account_of(job.pk, now=job.next_due_at)
    assert account.troubles == set()


Step = Callable[[datetime], object]
STEPS: dict[str, tuple[RunState, dict[str, object], Step, RunState]] = {
    "resolve": (
        RunState.PENDING,
        {},
        lambda now: resolve_waiting("real", now=now),
        RunState.READY,
    ),
    "expire": (
        RunState.READY,
        {"expires_at": LONG_AGO},
        lambda now: expire_waiting("real", now=now),
        RunState.SKIPPED,
    ),
    "lose": (
        RunState.RUNNING,
        {},
        lambda now: take_from_lost_workers(
            "real", Liveness(loop_seconds=1), now=now, monotonic=0.0
        ),
        RunState.PENDING,
    ),
    "stop": (
        RunState.RUNNING,
        {"deadline_at": LONG_AGO},
        lambda now: stop_overdue("real", now=now),
        RunState.STOPPING,
    ),
    "end stops": (
        RunState.STOPPING,
        {},
        lambda now: end_unconfirmed_stops("real", now=now),
        RunState.CANCELLED,
    ),
    "fail": (
        RunState.QUEUED,
        {"error_code": "UnknownTask"},
        lambda now: fail_unstartable("real", now=now + 2 * UNSTARTABLE_GRACE),
        RunState.FAILED,
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_run_that_cannot_be_read_keeps_no_step_from_the_others(
    name: str, make_job: JobMaker
) -> None:
    state, values, step, expected = STEPS[name]
    good, bad = (run_in(state, make_job(id_, every=None), **values) for id_ in ("good", "bad"))
    corrupt(bad)
    step(database_now())
    assert state_of(good) == expected
    assert verdict_of(bad)[:2] == (RunState.FAILED, "unreadable")
    assert not Attempt.objects.filter(run=bad, finished_at=None).exists()


def test_what_a_stopped_worker_left_is_released_but_for_what_cannot_be_read(
    make_job: JobMaker,
) -> None:
    stopped = worker(stopped_at=database_now())
    good, bad = (
        run_in(RunState.RUNNING, make_job(name, every=None), worker=stopped)
        for name in ("good", "bad")
    )
    corrupt(bad)
    take_from_lost_workers("real", Liveness(loop_seconds=1), now=database_now(), monotonic=0.0)
    assert (state_of(good), state_of(bad)) == (RunState.READY, RunState.FAILED)


def test_unsent_messages_are_sent_but_for_a_run_that_cannot_be_read(make_job: JobMaker) -> None:
    good, bad = (run_in(RunState.QUEUED, make_job(name, every=None)) for name in ("good", "bad"))
    corrupt(bad)
    publisher = Publisher(Celery(broker="memory://", set_as_current=False))
    assert publish_unsent("real", publisher, now=database_now() + 2 * PUBLISH_LEASE) == 1
    assert Run.objects.filter(published_at__isnull=False).values_list("pk", flat=True)[0] == good.pk
    assert state_of(bad) == RunState.FAILED


def test_missing_messages_are_sent_again_but_for_a_run_that_cannot_be_read(
    make_job: JobMaker,
) -> None:
    app = Celery(broker="memory://", set_as_current=False)
    now = database_now()
    good, bad = (
        run_in(
            RunState.QUEUED,
            make_job(name, every=None, queue="real.shared"),
            published_at=now - 2 * FIRST_WAIT,
            publish_count=1,
        )
        for name in ("good", "bad")
    )
    corrupt(bad)
    missing, publisher = MissingMessages(app, "real"), Publisher(app)
    assert missing.sweep(publisher, now=now, monotonic=0.0) == 0
    assert missing.sweep(publisher, now=now, monotonic=10.0) == 1
    assert Run.objects.filter(publish_count=2).values_list("pk", flat=True)[0] == good.pk
    assert state_of(bad) == RunState.FAILED


def test_a_run_that_a_test_fails_on_is_set_aside(make_job: JobMaker) -> None:
    good, bad = (run_in(RunState.QUEUED, make_job(name, every=None)) for name in ("good", "bad"))
    bad.publish_count = "often"  # as SQLite gives it back
    passed = those_that(lambda run: run.publish_count < 1, [good, bad], now=database_now())
    assert (passed, state_of(bad)) == ([good], RunState.FAILED)
    assert verdict_of(bad)[2].startswith("cannot be dealt with (TypeError: ")


@sqlite_only
def test_a_job_with_a_text_that_is_none_stops_no_turn(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_ten_seconds = Schedule(recurrence=Interval(LONG_AGO, 10 * SECOND))
    good, bad = (make_job(name, schedule=every_ten_seconds) for name in ("good", "bad"))
    corrupt(bad, "task", NO_TEXT)
    now = database_now()
    Job.objects.update(next_due_at=now, planned_until=now - timedelta(seconds=15))
    app = Celery(broker=f"redis://127.0.0.1:{free_port()}/0", set_as_current=False)
    monkeypatch.setattr("scheduling.engine.tick.connection.close", lambda: None)
    assert Engine(app, scope="real", tick_seconds=1).turn() < OUTAGE_WAIT_SECONDS
    assert Run.objects.get().job_id == good.pk
    reason, due = Job.objects.values_list("schedule_error", "next_due_at").get(pk=bad.pk)
    assert (reason.startswith("task cannot be read (Could not decode"), due) == (True, None)


@sqlite_only
def test_the_account_says_which_job_has_a_text_that_is_none(make_job: JobMaker) -> None:
    make_job("good")
    corrupt(make_job("bad"), "task", NO_TEXT)
    found = {account.job_id: account.troubles for account in accounts("real", now=database_now())}
    assert found["good"] == set()
    assert len(found["bad"]) == 1


def test_a_job_is_not_set_aside_for_a_table_that_is_not_migrated_yet(make_job: JobMaker) -> None:
    job = make_job()
    assert job.next_due_at is not None
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE scheduling_job RENAME COLUMN misfire TO misfire_away")
    with pytest.raises(DatabaseError, match="misfire"):
        plan_due_jobs("real", now=job.next_due_at)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE scheduling_job RENAME COLUMN misfire_away TO misfire")
    job.refresh_from_db()
    assert (job.schedule_error, job.next_due_at is None) == ("", False)


def test_a_run_whose_change_the_database_refuses_is_left_as_it_is(
    make_job: JobMaker, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_runs: object) -> None:
        raise IntegrityError("a column of a later version must not be null")

    run = run_in(RunState.READY, make_job(every=None))
    assert for_runs([run.pk], refuse, now=database_now()) == []
    assert state_of(run) == RunState.READY
    assert "run_refused" in caplog.messages


def test_what_cannot_even_be_set_aside_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_item: object, _error: object = None) -> int:
        raise ValueError("poison")

    assert each_alone(["bad", "good"], ["good"].index, set_aside=fail) == [0]
    assert "not_set_aside" in caplog.messages


def test_a_pause_that_cannot_be_ended_keeps_no_other_from_ending(
    make_job: JobMaker, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = make_job("bad"), make_job("good")
    until = database_now() + HOUR
    for job in (bad, good):
        pause_job(job, OPERATOR, until=until)
    corrupt(bad)
    for _ in range(2):
        end_pauses("real", now=until + SECOND)
    assert list(Pause.objects.active().values_list("job_id", flat=True)) == [bad.pk]
    assert caplog.messages.count("job_set_aside") == 1
    corrupt(bad, value="NULL")
    assert end_pauses("real", now=until + SECOND) == 1


def test_a_link_that_cannot_be_read_ends_and_its_chain_goes_on(make_job: JobMaker) -> None:
    jobs = [make_job(name, reschedule_mode="queue") for name in ("good", "bad")]
    follow([job.pk for job in jobs], now=database_now())
    links = {run.job_id: run for run in Run.objects.all()}
    good, bad = (links[job.pk] for job in jobs)
    corrupt(bad)
    now = database_now() + HOUR
    following = tend_chains([job.pk for job in jobs], now=now)
    assert (state_of(good), state_of(bad)) == (RunState.READY, RunState.FAILED)
    assert [link.job_id for link in following] == [bad.job_id]


def test_a_job_that_cannot_be_read_keeps_no_other_from_its_start_up_run(
    make_job: JobMaker,
) -> None:
    jobs = [make_job(name, every=None, run_on_startup=True) for name in ("good", "bad")]
    served = worker()
    served.queues = [job.queue for job in jobs]
    served.save()
    corrupt(jobs[1])
    assert StartupRuns("real", "first").open_due(now=database_now(), monotonic=0.0) == 1
    assert Run.objects.get().job_id == jobs[0].pk


def test_a_job_is_said_to_be_set_aside_once(
    make_job: JobMaker, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job()
    for _ in range(2):
        set_job_aside(job.pk, ValueError("poison"))
    assert caplog.messages == ["job_set_aside"]


@pytest.mark.parametrize("state", sorted(OPEN))
def test_a_run_is_set_aside_from_every_state(state: RunState, make_job: JobMaker) -> None:
    def fail(_runs: object) -> None:
        raise ValueError("poison")

    run = run_in(state, make_job(every=None))
    for_runs([run.pk], fail, now=database_now())
    assert verdict_of(run)[:2] == (RunState.FAILED, "unreadable")


def test_a_beat_does_not_wait_for_what_is_no_instant(
    make_job: JobMaker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = database_now() + HOUR
    bad = run_in(RunState.PENDING, make_job(every=None), next_attempt_at=later)
    corrupt(bad, "next_attempt_at", NO_INSTANT)
    monkeypatch.setattr("scheduling.engine.tick.connection.close", lambda: None)
    app = Celery(broker=f"redis://127.0.0.1:{free_port()}/0", set_as_current=False)
    beat = Engine(app, scope="real", tick_seconds=1)

    def looked_for_the_next() -> bool:
        beat.turn()
        return "instant_not_readable" in caplog.messages

    wait_for(looked_for_the_next, seconds=10, what="a turn with nothing left to look at")
    assert "engine_turn_failed" not in caplog.messages


def test_a_stop_is_seen_beside_a_run_that_cannot_be_read(make_job: JobMaker) -> None:
    ours = worker()
    good, bad = (
        run_in(
            RunState.RUNNING,
            make_job(name, every=None),
            worker=ours,
            deadline_at=database_now() - SECOND,
        )
        for name in ("good", "bad")
    )
    corrupt(bad, "deadline_at", NO_INSTANT)
    attempts: Attempts[Any] = Attempts()
    recorder = Recorder(lambda: ours.pk)
    stopper = Stopper(
        worker_id=lambda: ours.pk, attempts=attempts, recorder=recorder, can_stop=True
    )
    stopper._look()  # noqa: SLF001 what its thread does once a second
    assert (state_of(good), state_of(bad)) == (RunState.STOPPING, RunState.FAILED)


def test_a_run_with_a_routing_that_is_none_goes_to_its_queue() -> None:
    assert not is_routed(Run(routing=["exchange"]))
