"""`manage.py up` on the operator's own PostgreSQL and RabbitMQ."""

import subprocess
import sys
from pathlib import Path

import pytest

from opsproject.env import CHECKOUT
from tests.servers import bare_environment, free_port, running_postgres


@pytest.mark.postgres
@pytest.mark.rabbitmq
@pytest.mark.timeout(300)
def test_given_servers_are_used_and_none_is_started(rabbitmq_url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    place = {"OPS_DATA_DIR": str(data), "OPS_PORT": str(free_port())}
    with running_postgres() as postgres_url:
        given = {"DATABASE_URL": postgres_url, "CELERY_BROKER_URL": rabbitmq_url}
        result = subprocess.run(
            [sys.executable, str(CHECKOUT / "manage.py"), "up", "--smoke"],
            env={**bare_environment(), **given, **place},
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "valkey" not in result.stdout
    assert not {"db.sqlite3", "broker_url", "appendonlydir"} & {
        entry.name for entry in data.iterdir()
    }
