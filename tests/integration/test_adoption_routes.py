"""A periodic task whose row names no queue goes where stock beat would send it."""

from collections.abc import Sequence
from typing import Any

import pytest
from celery import Celery
from django_celery_beat.models import PeriodicTask
from kombu import Exchange, Queue

from opsproject.celery import app as ours
from scheduling.engine.adoption.job_fields import job_fields
from scheduling.engine.adoption.routes import Routes

# Celery says of a task that declares its queue that 6.0 will not take that.
pytestmark = pytest.mark.filterwarnings("ignore::celery.exceptions.CDeprecationWarning")


def job_of(app: Celery, task: str = "theirs.task", **row: Any) -> dict[str, Any]:
    """Return the fields of the job of a row."""
    return job_fields(
        PeriodicTask(name="row", task=task, **row), Routes(app, "real"), adopted=False
    )


@pytest.fixture
def theirs() -> Celery:
    app = Celery("theirs", set_as_current=False)

    @app.task(name="theirs.declares", queue="heavy", shared=False)
    def declares() -> None:
        pass

    @app.task(name="theirs.task", shared=False)
    def task() -> None:
        pass

    return app


@pytest.mark.parametrize("task", ["theirs.task", "unknown.task"])
def test_in_their_project_it_is_the_default_queue_of_their_app(theirs: Celery, task: str) -> None:
    assert job_of(theirs, task)["queue"] == "celery"
    theirs.conf.task_default_queue = "everything"
    assert job_of(theirs, task)["queue"] == "everything"


def test_a_route_of_their_app_counts(theirs: Celery) -> None:
    theirs.conf.task_routes = {"theirs.*": {"queue": "routed"}}
    assert job_of(theirs)["queue"] == "routed"
    assert job_of(theirs, "other.task")["queue"] == "celery"
    assert job_of(theirs, queue="the-row-says")["queue"] == "the-row-says"


def test_what_the_task_declares_counts_and_more_than_a_route(theirs: Celery) -> None:
    theirs.conf.task_routes = {"theirs.*": {"queue": "routed"}}
    assert job_of(theirs, "theirs.declares")["queue"] == "heavy"
    assert job_of(theirs, "theirs.task")["queue"] == "routed"


def test_a_router_of_theirs_sees_the_arguments(theirs: Celery) -> None:
    def by_customer(
        _name: str, args: Sequence[Any], kwargs: dict[str, Any], *_: Any, **__: Any
    ) -> dict[str, str]:
        return {"queue": f"{args[0]}-{kwargs['customer']}"}

    theirs.conf.task_routes = (by_customer,)
    assert job_of(theirs, args='["eu"]', kwargs='{"customer": "acme"}')["queue"] == "eu-acme"


def test_a_route_to_an_exchange_stays_one(theirs: Celery) -> None:
    theirs.conf.task_queues = [Queue("celery"), Queue("media", Exchange("media", "topic"), "#")]
    theirs.conf.task_routes = {"theirs.task": {"exchange": "media", "routing_key": "media.video"}}
    address = {"exchange": "media", "routing_key": "media.video"}
    assert job_of(theirs)["routing"] == address
    assert job_of(theirs, queue="celery")["routing"] == {}
    own = {"exchange": "row", "routing_key": "said"}
    assert job_of(theirs, **own)["routing"] == own


def test_in_our_project_a_task_that_our_app_knows_stays_with_our_workers() -> None:
    ours.loader.import_default_modules()  # as a beat does when it starts
    assert job_of(ours, "scheduling.tasks.pipeline")["queue"] == "real.default"


def test_a_task_that_only_others_know_goes_to_where_their_workers_listen() -> None:
    assert job_of(ours, "theirs.task")["queue"] == "celery"
