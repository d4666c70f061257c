"""A world of its own: chaos never sees the operator's settings, database, broker or data."""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from django.conf import settings

from opsproject.chaos.plan import Plan
from opsproject.env import CHECKOUT, ENV_FILE
from opsproject.launch.ports import free_port

SETTINGS = "opsproject.chaos.settings"
SCOPE = "chaos"
MARK = "chaos.pid"
TICK_SECONDS = 0.2
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TERM")


def is_apart() -> bool:
    """Tell whether this very process went through `move_apart`; nothing else makes it so."""
    try:
        return (home() / MARK).read_text(encoding="ascii") == str(os.getpid())
    except OSError:
        return False


def move_apart(plan: Plan, options: Sequence[str]) -> NoReturn:
    """Become the same command in a new temporary directory; the process id stays.

    A new process, because Django reads its settings once, and those here are the operator's.
    """
    directory = Path(tempfile.mkdtemp(prefix="ops-chaos-"))
    directory.chmod(0o711)  # PostgreSQL, which refuses root, must get at its own part
    (directory / "tmp").mkdir()
    (directory / MARK).write_text(str(os.getpid()), encoding="ascii")
    arguments = ["chaos", *plan.arguments(), *options]
    command = [sys.executable, str(CHECKOUT / "manage.py"), *arguments]
    os.execve(sys.executable, command, environment(plan, directory))  # noqa: S606 - no shell is wanted


def environment(plan: Plan, directory: Path) -> dict[str, str]:
    """Return all that the processes of the cluster are told."""
    database = plan.server_of_database()
    return {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        ENV_FILE: "",
        "SCHEDULER_SCOPE": SCOPE,
        "OPS_ADOPT_SCOPE": SCOPE,
        "SCHEDULER_TICK_SECONDS": str(TICK_SECONDS),
        "OPS_DATA_DIR": str(directory),
        "TMPDIR": str(directory / "tmp"),  # what is killed leaves litter
        "CELERY_BROKER_URL": plan.server_of_broker().url_at(free_port()),
        "DATABASE_URL": database.url_at(free_port())
        if database
        else f"sqlite:///{directory / 'db.sqlite3'}",
    }


def home() -> Path:
    """Return the temporary directory that was made by `move_apart`."""
    return Path(settings.OPS_DATA_DIR)


def remove_home() -> None:
    """Take the temporary directory away with all that is in it."""
    shutil.rmtree(home(), ignore_errors=True)
