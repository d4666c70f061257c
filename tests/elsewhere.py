"""A database that nobody has touched, and programs that work on it in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from opsproject.env import CHECKOUT
from tests.servers import bare_environment


@contextmanager
def untouched_database(directory: Path) -> Iterator[str]:
    """Yield the URL of an empty database of the kind that the tests use."""
    server = os.environ.get("TESTS_POSTGRES_URL")
    if server is None:
        yield f"sqlite:///{directory / 'untouched.sqlite3'}"
        return
    name = f"untouched_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield f"{server.rpartition('/')[0]}/{name}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def run_python(*arguments: str, **settings: str) -> str:
    """Run Python in the checkout with these settings only; return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=CHECKOUT,
        env={**bare_environment(), **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sys.stderr.write(done.stderr)
    return done.stdout


def platform_on(database_url: str, directory: Path) -> dict[str, str]:
    """Return the settings of a platform whose database and files are these."""
    return {
        "DATABASE_URL": database_url,
        "OPS_DATA_DIR": str(directory),
        "DJANGO_SETTINGS_MODULE": "opsproject.settings",
        "OPS_LOG_LEVEL": "WARNING",
    }
