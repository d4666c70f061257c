"""The cluster of real processes, an empty broker, an untouched database, and an event."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.trigger_run import trigger_run
from scheduling.engine.events.sequence import number_events
from scheduling.engine.publishing.publish import Publisher
from scheduling.models import Run
from tests.cluster import Cluster
from tests.conftest import JobMaker
from tests.elsewhere import untouched_database
from tests.servers import Valkey


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path, valkey_server: Valkey) -> Iterator[Cluster]:
    """Yield a cluster on the test's database and on Valkey."""
    del transactional_db
    made = Cluster(tmp_path, valkey_server.url)
    yield made
    made.stop()


@pytest.fixture
def untouched_database_url(tmp_path: Path) -> Iterator[str]:
    """Yield an empty database, of the kind that the tests use."""
    with untouched_database(tmp_path) as url:
        yield url


@pytest.fixture
def valkey(valkey_server: Valkey) -> Iterator[redis.Redis]:
    """Yield a client of the shared broker, which is emptied first."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def publisher(valkey: redis.Redis, valkey_server: Valkey) -> Publisher:
    """Return a publisher to that broker."""
    del valkey
    return Publisher(Celery("publisher", broker=valkey_server.url))


@pytest.fixture
def happen(make_job: JobMaker, operator: Operator) -> Callable[[], Run]:
    """Return a function that makes one numbered event, of a job's run."""
    job = make_job(max_parallel=100)

    def cancelled() -> Run:
        run = trigger_run(job, operator)
        cancel_runs([run.pk], operator)
        number_events()
        return run

    return cancelled
