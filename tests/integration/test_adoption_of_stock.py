"""A database that stock django-celery-beat made is taken over, and its tasks fire as before."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.servers import bare_environment

CHECKOUT = Path(__file__).resolve().parents[2]
ROWS = 5_000

TAKE_OVER = """
import json, sys, time
import django; django.setup()
from scheduling.clock import database_now
from scheduling.engine.adopt import Adoption
from scheduling.models import Job
adoption, started = Adoption("real"), time.monotonic()
while True:
    adoption.follow(now=database_now(), monotonic=time.monotonic())
    if not adoption.behind:
        break
took = time.monotonic() - started
jobs = Job.objects.values_list("schedule__name", "next_due_at", "schedule_error")
print(json.dumps([[name, due and due.isoformat(), error] for name, due, error in jobs]))
print(f"adopted in {took:.1f} s", file=sys.stderr)
"""


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    """Yield a database that nobody has touched, on the server that the tests use."""
    server = os.environ.get("TESTS_POSTGRES_URL")
    if server is None:
        yield f"sqlite:///{tmp_path / 'stock.sqlite3'}"
        return
    name = f"stock_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield f"{server.rpartition('/')[0]}/{name}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def run(*command: str, **settings: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=CHECKOUT,
        env={**bare_environment(), **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    sys.stderr.write(done.stderr)
    return done.stdout


def test_thousands_of_stock_tasks_fall_due_when_they_did_before(
    database_url: str, tmp_path: Path
) -> None:
    expected = json.loads(run("-m", "tests.stock_beat", database_url, str(ROWS)))
    ours = {
        "DATABASE_URL": database_url,
        "OPS_DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "opsproject.settings",
        "OPS_LOG_LEVEL": "WARNING",
    }
    run("manage.py", "migrate", "--verbosity", "0", **ours)
    jobs = json.loads(run("-c", TAKE_OVER, **ours))
    assert len(jobs) == ROWS
    assert [error for _, _, error in jobs if error] == []
    due = {name: datetime.fromisoformat(at) for name, at, _ in jobs}
    assert len(expected) > ROWS * 0.8
    late = {
        name: (at, due[name].isoformat())
        for name, at in expected.items()
        if abs(due[name] - datetime.fromisoformat(at)) > timedelta(seconds=2)
    }
    assert late == {}
