"""The agenda names whatever a turn may have to do, in one question, and nothing where there is not.

That what is named is then done is shown wherever a test takes a turn of an engine.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from opsproject.celery import app
from scheduling.actions.audit import Operator
from scheduling.actions.pause_job import pause_job
from scheduling.clock import database_now
from scheduling.engine import tick
from scheduling.engine.agenda import Occasion, agenda
from scheduling.engine.new_run import new_run
from scheduling.engine.tick import Engine
from scheduling.models import Job, Pause, Run, RunEvent, Submission
from scheduling.models.event import EventKind
from scheduling.states import RunState, Trigger
from scheduling.transitions import open_runs
from tests.conftest import JobMaker
from tests.offices import make_office
from tests.servers import wait_for

HOUR = timedelta(hours=1)


def a_pause_that_is_over(job: Job) -> None:
    pause_job(job, Operator(actor="ops", door="cli"))
    now = database_now()
    Pause.objects.update(from_at=now - 2 * HOUR, until_at=now - HOUR)


def a_tick_that_is_due(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(next_due_at=database_now())


def a_submission_that_is_half_written(job: Job) -> None:
    Submission.objects.create(
        office=make_office(scope=job.scope), runs_count=1, created_at=database_now()
    )


def a_ready_run(job: Job) -> None:
    open_runs([new_run(job, trigger=Trigger.MANUAL, now=database_now())])


def an_event_without_its_number(job: Job) -> None:
    run = new_run(job, trigger=Trigger.MANUAL, now=database_now())
    run.state, run.finished_at = RunState.CANCELLED, database_now()
    Run.objects.bulk_create([run])
    RunEvent.objects.create(
        scope=run.scope, kind=EventKind.CANCELLED, run=run, attempt=0, at=database_now()
    )


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (a_pause_that_is_over, Occasion.PAUSE_OVER),
        (a_tick_that_is_due, Occasion.JOB_DUE),
        (a_submission_that_is_half_written, Occasion.SUBMISSION_UNBUILT),
        (an_event_without_its_number, Occasion.EVENT_UNNUMBERED),
        (a_ready_run, RunState.READY),
    ],
)
def test_what_there_is_to_do_is_named_and_nothing_else(
    make_job: JobMaker, make: Callable[[Job], None], named: str
) -> None:
    job = make_job(every=3600)
    assert agenda("real", now=database_now()) == set()
    make(job)
    assert agenda("real", now=database_now()) == {named}


def test_a_job_of_another_scope_is_another_beats(make_job: JobMaker) -> None:
    a_tick_that_is_due(make_job(every=3600))
    assert agenda("mock", now=database_now()) == set()


@pytest.mark.django_db(transaction=True)
def test_an_idle_turn_asks_four_questions_at_most(
    make_job: JobMaker, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_job(every=3600)
    beat = Engine(app, scope="real", tick_seconds=0)
    wait_for(
        lambda: beat.turn() > 0 and not beat.adoption.behind,
        seconds=10,
        what="nothing left to look at",
    )
    with django_assert_max_num_queries(4):
        beat.turn()


@pytest.mark.django_db(transaction=True)
def test_where_the_agenda_cannot_be_read_every_step_is_taken(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(scope: str, *, now: datetime) -> None:
        del scope, now
        raise ValueError("year 20261 is out of range")

    monkeypatch.setattr(tick, "agenda", unreadable)
    job = make_job(every=3600)
    a_tick_that_is_due(job)
    beat = Engine(app, scope="real", tick_seconds=1)
    beat.turn()
    job.refresh_from_db()
    assert job.next_due_at is not None
    assert job.next_due_at > database_now()
    assert connection.is_usable()
