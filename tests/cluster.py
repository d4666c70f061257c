"""A platform of real processes on the test's own database and broker, to be watched and killed."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from django.db import connection

from scheduling.models import Run, WorkerProcess
from tests.servers import wait_for

CHECKOUT = Path(__file__).resolve().parent.parent


class Cluster:
    """Starts workers and beats; `stop` ends whatever still lives."""

    def __init__(self, directory: Path, broker_url: str, *, scope: str = "real") -> None:
        self.scope = scope
        self.directory = directory
        self.broker_url = broker_url
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        database = connection.settings_dict
        url = (
            f"sqlite:///{database['NAME']}"
            if connection.vendor == "sqlite"
            else f"postgresql://{database['USER']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
        )
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "PYTHONPATH": str(CHECKOUT),
            "DATABASE_URL": url,
            "CELERY_BROKER_URL": self.broker_url,
            "OPS_DATA_DIR": str(self.directory),
            "OPS_ENV_FILE": "",
            "SCHEDULER_SCOPE": self.scope,
            "SCHEDULER_TICK_SECONDS": "0.2",
        }

    def worker(self, *options: str, stop_seconds: float = 0) -> subprocess.Popen[bytes]:
        known = set(WorkerProcess.objects.values_list("pk", flat=True))
        number = len(self.processes)
        process = self._celery(
            *("worker", "--concurrency", "2", "--hostname", f"w{number}@{self.scope}"),
            *("--without-gossip", "--without-mingle", *options),
            OPS_STOP_SECONDS=str(stop_seconds),
        )
        wait_for(
            lambda: WorkerProcess.objects.exclude(pk__in=known).exists(),
            seconds=40,
            what=f"the worker registers, see {self.log}",
        )
        return process

    def plain_worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker of somebody else's, without the fence."""
        return self._celery(
            *("worker", "--concurrency", "1", "--hostname", "plain@test"), *options, app="plain_app"
        )

    def beat(self) -> subprocess.Popen[bytes]:
        return self._celery("beat")

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL the process, and no one else: its children are left as a crash leaves them."""
        process.send_signal(signal.SIGKILL)
        process.wait()

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM, and wait until it has finished what it was doing."""
        process.terminate()
        process.wait(timeout=60)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=CHECKOUT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def stop(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def log(self) -> Path:
        return self.directory / "cluster.log"

    def _celery(
        self, *arguments: str, app: str = "tested_app", **settings: str
    ) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", f"tests.{app}", *arguments],
                cwd=CHECKOUT,
                env={**self.environment, **settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process


def wait_for_state(run: Run, *states: str, seconds: float = 30) -> Run:
    """Wait until a run is in one of the states; return it as it then is."""

    def reached() -> bool:
        run.refresh_from_db()
        return run.state in states

    wait_for(reached, seconds=seconds, what=f"run is {' or '.join(states)}")
    return run
