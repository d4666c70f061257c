"""A beat's turn survives what its database does."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from django.db import connection, transaction

from opsproject.celery import app
from scheduling.clock import PlanClock, database_now
from scheduling.engine.new_run import new_run
from scheduling.engine.tick import LOCKED_ELSEWHERE_SECONDS, OUTAGE_WAIT_SECONDS, Engine
from scheduling.models import Job, Run
from scheduling.states import RunState, Trigger
from scheduling.transitions import open_runs
from tests.conftest import JobMaker
from tests.servers import Valkey, wait_for

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def engine() -> Engine:
    return Engine(app, scope="real", tick_seconds=1)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_not_migrated_yet_is_waited_for() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE scheduling_job RENAME TO scheduling_job_away")
    try:
        assert engine().turn() == OUTAGE_WAIT_SECONDS
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE scheduling_job_away RENAME TO scheduling_job")
    assert engine().turn() <= 1


@pytest.mark.django_db(transaction=True)
def test_an_idle_turn_sleeps_until_the_next_tick(make_job: JobMaker) -> None:
    make_job(every=3600)
    beat = engine()
    wait_for(lambda: beat.turn() > 0.9, seconds=10, what="a turn with nothing left to look at")
    assert not Run.objects.exists()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_what_somebody_else_has_locked_is_soon_looked_at_again(
    make_job: JobMaker, valkey_server: Valkey
) -> None:
    """He may just have passed over it, for a lock that was held as briefly."""
    job = make_job(every=3600)
    beat = Engine(
        Celery(broker=valkey_server.url, set_as_current=False), scope="real", tick_seconds=1
    )
    wait_for(lambda: beat.turn() > 0.9, seconds=10, what="a turn with nothing left to look at")
    open_runs([new_run(job, trigger=Trigger.MANUAL, now=database_now())])
    with ThreadPoolExecutor(1) as elsewhere:
        with transaction.atomic():
            Job.objects.select_for_update().get()
            wait_for(
                lambda: elsewhere.submit(turn_of, beat).result() == LOCKED_ELSEWHERE_SECONDS,
                seconds=10,
                what="a turn that left it behind",
            )
            assert Run.objects.get().state == RunState.READY
        wait_for(lambda: beat.turn() > 0.5, seconds=10, what="a turn with nothing left behind")
    assert Run.objects.get().state == RunState.QUEUED


def turn_of(beat: Engine) -> float:
    """Turn over a connection of one's own."""
    try:
        return beat.turn()
    finally:
        connection.close()


def test_a_clock_that_jumps_is_believed_only_when_it_says_so_twice() -> None:
    clock = PlanClock()
    hour = timedelta(hours=1)
    assert clock.believes(NOON, monotonic=0)
    assert clock.believes(NOON + timedelta(seconds=59), monotonic=1)
    assert not clock.believes(NOON + hour, monotonic=2)
    assert clock.believes(NOON + hour, monotonic=3)
    assert clock.believes(NOON + hour + timedelta(seconds=1), monotonic=4)


def test_a_clock_that_jumps_and_comes_back_is_never_planned_by() -> None:
    clock = PlanClock()
    second = timedelta(seconds=1)
    assert clock.believes(NOON, monotonic=0)
    assert not clock.believes(NOON + timedelta(days=365), monotonic=1)
    assert clock.believes(NOON + 2 * second, monotonic=2)
