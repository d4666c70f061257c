"""The cluster of real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.servers import Valkey


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path, valkey_server: Valkey) -> Iterator[Cluster]:
    """Yield a cluster on the test's database and on Valkey."""
    del transactional_db
    made = Cluster(tmp_path, valkey_server.url)
    yield made
    made.stop()
