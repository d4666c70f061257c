"""Fixtures that every kind of test shares."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.test import Client

from scheduling.actions.audit import Operator
from scheduling.actions.change_policy import POLICY_FIELDS, change_policy
from scheduling.actions.create_job import NewJob, create_job
from scheduling.actions.create_token import NewToken, create_token
from scheduling.engine.schedules import Schedule
from scheduling.models import Job
from scheduling.recurrence import Crontab, Interval
from tests.servers import Valkey, running_rabbitmq

# The examples run on machines of any speed.
hypothesis.settings.register_profile("ops", deadline=None)
hypothesis.settings.load_profile("ops")

OPERATOR = Operator(actor="tester", door="test")

JobMaker = Callable[..., Job]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    """Keep SQLite in a file, so that the processes under test open the same database."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        path = tmp_path_factory.mktemp("database") / "db.sqlite3"
        database.setdefault("TEST", {})["NAME"] = str(path)
    else:
        request.getfixturevalue("django_db_modify_db_settings_parallel_suffix")


@pytest.fixture
def operator() -> Operator:
    return OPERATOR


@pytest.fixture
def make_job(db: None) -> JobMaker:
    """Return a function that creates a job, by default every 10 s from now on."""
    del db

    def make(job_id: str = "job", *, every: float | None = 10, **given: Any) -> Job:
        policy = {name: given.pop(name) for name in POLICY_FIELDS if name in given}
        schedule = given.pop("schedule", None)
        if schedule is None and every is not None:
            recurrence = Interval(datetime.now(UTC), timedelta(seconds=every))
            schedule = Schedule(recurrence=recurrence)
        values = {"scope": "real", "task": "tests.task", **given}
        job = create_job(NewJob(job_id=job_id, schedule=schedule, **values), OPERATOR)
        if policy:
            change_policy(job, OPERATOR, policy)
            job.refresh_from_db()
        return job

    return make


@pytest.fixture
def weekdays_at_nine() -> Schedule:
    return Schedule(recurrence=Crontab("0", "9", "1-5", "*", "*", "UTC"))


@pytest.fixture
def caller(admin_user: Any, operator: Operator) -> Any:
    """Return a function that makes a client with a token of some access."""

    def make(access: str = "operate", scope: str = "", office_id: str = "") -> Client:
        new = NewToken(name="test", access=access, scope=scope, office_id=office_id)
        token = create_token(new, operator, user=admin_user)
        return Client(headers={"Authorization": f"Bearer {token}"})

    return make


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def rabbitmq_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("rabbitmq")
    with running_rabbitmq(directory) as url:
        yield url
