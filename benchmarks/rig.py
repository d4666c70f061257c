"""A place to measure in: a directory, a database, a broker and the processes on them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from tests.servers import bare_environment

CHECKOUT = Path(__file__).resolve().parent.parent
GOODBYE_SECONDS = 20
SETTINGS_MODULE = "DJANGO_SETTINGS_MODULE"
PLATFORM = "opsproject.settings"
STOCK = "benchmarks.apps.stock_settings"


@dataclass
class Rig:
    """Starts processes that see only this rig's servers; `end` leaves none of them."""

    directory: Path
    database_url: str = ""
    broker_url: str = ""
    settings_module: str = PLATFORM
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What a child process finds: the platform's settings and nothing of this machine's."""
        return {
            **bare_environment(),
            "PYTHONPATH": str(CHECKOUT),
            SETTINGS_MODULE: self.settings_module,
            "OPS_DATA_DIR": str(self.directory),
            "OPS_LOG_LEVEL": "WARNING",  # Celery's own default: no line per task
            "DATABASE_URL": self.database_url,
            "CELERY_BROKER_URL": self.broker_url,
            **self.settings,
        }

    def start(self, *module_and_arguments: str) -> subprocess.Popen[bytes]:
        """Start `python -m …` beside us; its output goes to the rig's log."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *module_and_arguments],
                cwd=CHECKOUT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def step(self, name: str, **arguments: Any) -> Any:
        """Run one of `steps` in a process of its own and return what it returned."""
        with self.log.open("ab") as log:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.steps", name, json.dumps(arguments)],
                cwd=CHECKOUT,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"step {name} failed:\n{self.log.read_text()[-4000:]}")
        return json.loads(done.stdout)

    def migrate(self) -> None:
        """Create the tables that the settings name."""
        if self.start("django", "migrate", "--verbosity", "0").wait():
            raise RuntimeError(f"migrate failed:\n{self.log.read_text()[-4000:]}")

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """Ask a process to stop; kill it with its group if it does not."""
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GOODBYE_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    @property
    def log(self) -> Path:
        """Where the processes write; the first place to look when a line fails."""
        return self.directory / "rig.log"


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time that a process of ours has used so far."""
    text = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def a_rig(**given: Any) -> Iterator[Rig]:
    """Yield a rig in a temporary directory; nothing of it is left afterwards."""
    with TemporaryDirectory(prefix="bench-") as directory:
        rig = Rig(Path(directory), **given)
        try:
            yield rig
        finally:
            for process in rig.processes:
                rig.end(process)


def new_database(server_url: str, name: str, *, template: str = "template1") -> str:
    """Create a database on a PostgreSQL server, in place of an older one; return its URL."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return f"{server_url.rpartition('/')[0]}/{name}"


def analyze(url: str) -> None:
    """Give PostgreSQL the statistics that a table which was filled over days would have."""
    if url.startswith("postgresql:"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("ANALYZE")
