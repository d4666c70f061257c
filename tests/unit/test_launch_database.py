"""The database of `up`: one that its processes can share."""

import subprocess
import sys
from pathlib import Path

import pytest

from opsproject.env import CHECKOUT
from tests.servers import bare_environment, free_port


@pytest.mark.parametrize(
    "url", ["sqlite://:memory:", "sqlite://", "sqlite:///file:x%3Fmode=memory"]
)
def test_a_database_in_memory_is_refused_by_up_in_one_line(tmp_path: Path, url: str) -> None:
    ended = manage("up", tmp_path, url)

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: DATABASE_URL names a database in memory")
    assert ended.stderr.count("\n") == 1


def test_a_command_may_use_a_database_in_memory(tmp_path: Path) -> None:
    ended = manage("check", tmp_path, "sqlite://:memory:")

    assert ended.returncode == 0, ended.stderr


def manage(command: str, tmp_path: Path, url: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the platform with this database."""
    given = {
        "DATABASE_URL": url,
        "OPS_DATA_DIR": str(tmp_path),
        "OPS_PORT": str(free_port()),
        # Refused after the database: `up` ends here even where that was taken.
        "CELERY_BROKER_URL": "memory://",
    }
    return subprocess.run(
        [sys.executable, str(CHECKOUT / "manage.py"), command],
        env={**bare_environment(), **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
