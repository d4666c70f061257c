"""The whole of `manage.py up`, from an empty directory to the last process gone."""

import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connections
from django.utils import timezone

from opsproject.launch import programs
from opsproject.launch.broker import Broker, choose_broker
from opsproject.launch.credentials import FlowerAccess
from opsproject.launch.data_directory import PRIVATE_UMASK, DataDirectory, held_data_directory
from opsproject.launch.database import refusals_in_words, require_database
from opsproject.launch.first_start import prepare_database
from opsproject.launch.output import LinePrinter
from opsproject.launch.ports import LOOPBACK, require_free
from opsproject.launch.programs import Program
from opsproject.launch.readiness import wait_until_ready
from opsproject.launch.secret_key import ensure_secret_key
from opsproject.launch.smoke import ledger_table, require_none_missing, wait_for_good_runs
from opsproject.launch.stop_request import stop_on_signals
from opsproject.launch.supervision import LOG, Supervisor, supervised
from opsproject.launch.task_modules import require_found

WATCH_SECONDS = 1.0
PATIENCE_SECONDS = 10.0  # with what still runs when Ctrl-C is pressed


def run_platform(*, smoke_only: bool, show: Callable[[str], None]) -> None:
    """Run everything until told to stop, or with `smoke_only` until the standing jobs have run.

    Raises LaunchError, with everything stopped, when that cannot be done.
    """
    os.umask(PRIVATE_UMASK)
    with (
        stop_on_signals() as stop,
        held_data_directory(settings.OPS_DATA_DIR, port=settings.OPS_PORT) as directory,
    ):
        require_free(settings.OPS_PORT)
        require_found(settings.CELERY_IMPORTS)
        ensure_secret_key(directory)
        require_database()
        broker = choose_broker(_given_broker(), directory=directory)
        with refusals_in_words():
            prepare_database(show=show)
        connections.close_all()  # a connection is not for sharing with what is started now
        if smoke_only:
            _smoke(broker, directory=directory, stop=stop, show=show)
        else:
            _serve(broker, directory=directory, stop=stop)


def _given_broker() -> str | None:
    given = settings.ENV.CELERY_BROKER_URL
    return given.get_secret_value() if given else None


def _serve(broker: Broker, *, directory: DataDirectory, stop: threading.Event) -> None:
    """Run until told to stop."""
    with _running(broker, directory=directory, stop=stop) as supervisor:
        while not stop.wait(WATCH_SECONDS):
            supervisor.require_running()


def _smoke(
    broker: Broker, *, directory: DataDirectory, stop: threading.Event, show: Callable[[str], None]
) -> None:
    """Run until the standing jobs have run, then print their ledger below everybody's last line."""
    since = timezone.now()
    with _running(broker, directory=directory, stop=stop) as supervisor:
        missing = wait_for_good_runs(since, stop=stop, supervisor=supervisor)
    show(ledger_table(since))
    require_none_missing(missing)


@contextmanager
def _running(
    broker: Broker, *, directory: DataDirectory, stop: threading.Event
) -> Iterator[Supervisor]:
    """Keep all processes alive within the block, which is entered when the page answers."""
    flower = FlowerAccess.draw()
    started = _programs(broker, flower)
    names = [LOG, *(program.name for program in started)]
    printer = LinePrinter(names, to=sys.stdout.buffer, on_closed=stop.set)
    environment = _environment(broker, flower, directory)
    with supervised(
        started, directory=directory, environment=environment, printer=printer
    ) as supervisor:
        if wait_until_ready(settings.OPS_PORT, stop=stop, supervisor=supervisor):
            printer.say(f"ready at http://{LOOPBACK}:{settings.OPS_PORT}/ (Ctrl-C stops all)")
        yield supervisor


def _programs(broker: Broker, flower: FlowerAccess) -> list[Program]:
    log_level = settings.OPS_LOG_LEVEL
    return [
        *([broker.program] if broker.program else []),
        programs.web(settings.OPS_PORT),
        programs.worker(settings.OPS_WORKER_CONCURRENCY, log_level=log_level, patience=_patience()),
        programs.beat(log_level=log_level),
        programs.flower(flower.port),
    ]


def _environment(broker: Broker, flower: FlowerAccess, directory: DataDirectory) -> dict[str, str]:
    """Return what the processes read: our own environment, and what was decided here."""
    return {
        **os.environ,
        **flower.environment(),
        "OPS_DATA_DIR": str(directory.path),
        "CELERY_BROKER_URL": broker.url,
        "OPS_STOP_SECONDS": str(_patience()),
        "OPS_DEPLOYMENT": settings.OPS_DEPLOYMENT or secrets.token_hex(8),
        "PYTHONUNBUFFERED": "1",  # a line is to be seen when it is written
    }


def _patience() -> float:
    given = settings.ENV.OPS_STOP_SECONDS
    return PATIENCE_SECONDS if given is None else float(given)
