"""The cluster of real processes, an empty broker, and an untouched database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from scheduling.engine.publishing.publish import Publisher
from tests.cluster import Cluster
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
