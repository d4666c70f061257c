"""Ready runs take slots in order; a job without a free one holds up nobody behind it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from scheduling.clock import database_now
from scheduling.engine import candidates
from scheduling.engine.candidates import claimable
from scheduling.engine.claim import claim_runs
from scheduling.engine.new_run import new_run
from scheduling.models import Job, Run
from scheduling.states import RunState, Trigger
from scheduling.transitions import open_runs
from tests.claims import claim_all, claim_ready
from tests.conftest import JobMaker


def opened(job: Job, count: int = 1, **values: Any) -> list[Run]:
    runs = [new_run(job, trigger=Trigger.MANUAL, now=database_now()) for _ in range(count)]
    for run in runs:
        for name, value in values.items():
            setattr(run, name, value)
    open_runs(runs)
    return runs


def claim_elsewhere() -> list[Run]:
    """Claim over a connection of one's own, as another beat does."""
    try:
        return claim_ready("real", now=database_now())
    finally:
        connection.close()


@pytest.fixture
def page_of_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "PAGE", 10)


@pytest.mark.usefixtures("page_of_ten")
def test_a_job_at_its_limit_holds_up_nobody_however_much_it_has_waiting(
    make_job: JobMaker,
) -> None:
    hog, small = make_job("hog"), make_job("small")
    opened(hog, 50)
    [behind] = opened(small)
    assert claim_all(now=database_now())[0].job == hog
    assert behind in Run.objects.holding_slot()
    assert Run.objects.holding_slot().filter(job=hog).count() == 1
    [next_behind] = opened(make_job("later"))
    assert claim_ready("real", now=database_now()) == [next_behind]


@pytest.mark.usefixtures("page_of_ten")
def test_what_cannot_run_is_not_read(make_job: JobMaker, django_assert_num_queries: Any) -> None:
    opened(make_job("hog"), 50)
    claim_ready("real", now=database_now())
    opened(make_job("small"))
    now = database_now()
    with django_assert_num_queries(9):  # however many wait
        assert len(claimable("real", now=now)) == 1


@pytest.mark.usefixtures("page_of_ten")
def test_a_freed_slot_goes_to_the_jobs_own_next_run(make_job: JobMaker) -> None:
    hog = make_job("hog")
    first, second, *_ = opened(hog, 30)
    assert claim_ready("real", now=database_now()) == [first]
    Run.objects.filter(pk=first.pk).update(state=RunState.DONE, finished_at=database_now())
    assert claim_ready("real", now=database_now()) == [second]


@pytest.mark.usefixtures("page_of_ten")
def test_runs_without_a_job_are_not_held_up_either(make_job: JobMaker) -> None:
    opened(make_job("hog"), 20)
    claim_ready("real", now=database_now())
    [free] = opened(make_job("gone"))
    Run.objects.filter(pk=free.pk).update(job=None)
    assert claim_ready("real", now=database_now()) == [free]


def test_a_run_of_another_scope_is_left_alone(make_job: JobMaker) -> None:
    opened(make_job(scope="mock"))
    assert claim_ready("real", now=database_now()) == []


def test_an_idle_look_is_one_question(make_job: JobMaker, django_assert_num_queries: Any) -> None:
    make_job()
    now = database_now()
    with django_assert_num_queries(1):
        assert claim_ready("real", now=now) == []


def test_a_run_that_was_claimed_meanwhile_is_not_claimed_again(make_job: JobMaker) -> None:
    [run] = opened(make_job(max_parallel=5))
    assert claim_runs([run.pk], now=database_now()) == [run]
    assert claim_runs([run.pk], now=database_now()) == []
    assert Run.objects.get().attempt == 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_a_job_that_somebody_else_works_on_is_not_waited_for(make_job: JobMaker) -> None:
    busy, free = make_job("busy"), make_job("free")
    opened(busy)
    [claimable_now] = opened(free)
    with transaction.atomic():
        Job.objects.select_for_update().get(pk=busy.pk)
        with ThreadPoolExecutor(1) as thread:
            claimed = thread.submit(claim_elsewhere).result(timeout=10)
    assert claimed == [claimable_now]
    assert len(claim_ready("real", now=database_now())) == 1


def test_a_claim_does_not_touch_what_it_does_not_win(make_job: JobMaker) -> None:
    job = make_job()
    opened(job, 3)
    before = list(Run.objects.values().order_by("id"))
    claim_ready("real", now=database_now() + timedelta(seconds=1))
    after = list(Run.objects.values().order_by("id"))
    assert before[1:] == after[1:]
