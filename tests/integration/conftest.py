"""The cluster of real processes, an empty broker, an untouched database, and API callers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from django.test import Client

from scheduling.actions.audit import Operator
from scheduling.actions.create_token import NewToken, create_token
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


@pytest.fixture
def caller(admin_user: Any, operator: Operator) -> Any:
    """Return a function that makes a client with a token of some access."""

    def make(access: str = "operate", scope: str = "", office_id: str = "") -> Client:
        new = NewToken(name="test", access=access, scope=scope, office_id=office_id)
        token = create_token(new, operator, user=admin_user)
        return Client(headers={"Authorization": f"Bearer {token}"})

    return make
