#!/usr/bin/env python3
"""The way in: Django's commands, the tests, and on a bare machine first the project's dependencies.

A fresh machine has Python with pip and nothing else. Where the dependencies cannot be imported,
this file finds uv or fetches it into `.bootstrap/`, and starts itself again under `uv run`, which
makes `.venv/` from `uv.lock`. Nothing outside the checkout is changed, but for uv's own cache.
Until then it may use the standard library only, in a syntax that an old Python can still read.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

CHECKOUT = Path(__file__).resolve().parent
ENVIRONMENT = CHECKOUT / ".venv"
BOOTSTRAP = CHECKOUT / ".bootstrap"
OLDEST_PYTHON = (3, 11)
STARTED_BY_UV = "MANAGE_PY_STARTED_BY_UV"  # set on the way round, so that there is only one
REFUSED = 2
INTERRUPTED = 130  # as a shell tells it


def main(arguments: list[str]) -> None:
    """Run one command; what cannot work ends with one line on stderr and exit code 2."""
    if sys.version_info < OLDEST_PYTHON:
        refuse(
            f"Python {sys.version.split()[0]} is too old: "
            "start this file with 3.11 or newer, for example `python3.11 manage.py up`"
        )
    if not dependencies_are_importable():
        restart_under_uv(arguments)
    os.environ.pop(STARTED_BY_UV, None)  # what we start may need a way round of its own
    if arguments[:1] == ["test"]:
        run_pytest(arguments[1:])
    run_django(arguments)


def dependencies_are_importable() -> bool:
    """Look the two foundations up without importing them, which would cost half a second."""
    return all(importlib.util.find_spec(name) for name in ("django", "celery"))


def restart_under_uv(arguments: list[str]) -> NoReturn:
    """Start this file again under `uv run`, with the tests' tools only where tests are to run."""
    if STARTED_BY_UV in os.environ:
        refuse(f"uv ran, yet Django or Celery is missing: remove {ENVIRONMENT} and try again")
    if not os.access(CHECKOUT, os.W_OK):
        refuse(
            f"{CHECKOUT} is not writable, so nothing can be installed into it: "
            "clone the repository into a directory of your own"
        )
    uv = find_uv() or fetch_uv()
    if not ENVIRONMENT.is_dir():
        say("Starting again under uv, which installs what uv.lock lists into .venv/ (once).")
    command = [uv, "run", "--project", str(CHECKOUT)]
    if not (ENVIRONMENT / "pyvenv.cfg").is_file():
        command += ["--python", sys.executable]  # an environment that is there keeps its Python
    if arguments[:1] != ["test"]:
        command.append("--no-dev")
    become([*command, "python", str(CHECKOUT / "manage.py"), *arguments], uv_settings())


def find_uv() -> str | None:
    """Return the path of a uv that runs, from PATH or from an earlier start, or None."""
    for candidate in (shutil.which("uv"), shutil.which("uv", path=str(BOOTSTRAP / "uv" / "bin"))):
        # A pyenv shim stands on PATH even where no uv is behind it, so it is asked.
        if candidate and succeeds([candidate, "--version"], stdout=subprocess.DEVNULL):
            if not ENVIRONMENT.is_dir():
                say(f"{sys.executable} has no Django and Celery; {candidate} is there to get them.")
            return candidate
    return None


def fetch_uv() -> str:
    """Install uv by pip into `.bootstrap/uv` and return its path.

    Into a folder, because Debian's Python refuses a plain `pip install` (PEP 668); under another
    name first, so that an interrupted download is never taken for a whole one.
    """
    if importlib.util.find_spec("pip") is None:
        refuse("neither uv nor pip is installed: get one, on Debian by `apt install python3-pip`")
    say(f"{sys.executable} has no Django and Celery, and no uv to get them; pip fetches uv.")
    BOOTSTRAP.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BOOTSTRAP) as scratch:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir"]
        if not succeeds([*pip, "--disable-pip-version-check", "--target", f"{scratch}/uv", "uv"]):
            refuse("pip could not fetch uv (see above): check the network, or install uv yourself")
        shutil.rmtree(BOOTSTRAP / "uv", ignore_errors=True)
        Path(scratch, "uv").rename(BOOTSTRAP / "uv")
    return str(BOOTSTRAP / "uv" / "bin" / "uv")


def succeeds(command: list[str], *, stdout: int | None = None) -> bool:
    """Run a program to its end and tell whether it was content; its stderr stays visible."""
    return subprocess.run(command, stdout=stdout, check=False).returncode == 0  # noqa: S603 - our words


def uv_settings() -> dict[str, str]:
    """Return our environment plus what uv needs where only pip has been set up."""
    environment = {**os.environ, STARTED_BY_UV: "1"}
    if ssl.create_default_context().get_ca_certs():
        # Behind a company's proxy only the machine's store knows the certificate; without a store,
        # as in a slim container, uv keeps to the one that it brings along.
        environment.setdefault("UV_SYSTEM_CERTS", "1")
    if not home_is_writable():
        environment.setdefault("UV_CACHE_DIR", str(BOOTSTRAP / "cache"))
    return environment


def home_is_writable() -> bool:
    """Tell whether uv can keep its cache where it usually does."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "uv")
    except RuntimeError:  # a user without a home
        return False
    there = next(place for place in (cache, *cache.parents) if os.access(place, os.F_OK))
    return there.is_dir() and os.access(there, os.W_OK)


def run_pytest(arguments: list[str]) -> NoReturn:
    """Become pytest: its exit code is ours, and no setting is read before the tests set theirs."""
    if importlib.util.find_spec("pytest") is None:
        refuse("pytest is not installed here: run `uv sync`, which adds the development tools")
    os.chdir(CHECKOUT)
    become([sys.executable, "-m", "pytest", *arguments], dict(os.environ))


def run_django(arguments: list[str]) -> None:
    """Hand over to Django; a setting or a database that refuses is one line, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsproject.settings")
    # Imported here, because on a bare machine they are not there to be imported above.
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.core.management import execute_from_command_line  # noqa: PLC0415
    from django.db import OperationalError  # noqa: PLC0415

    try:
        if arguments[:1] == ["migrate"]:
            make_data_directory()
        execute_from_command_line([sys.argv[0], *arguments])
    except KeyboardInterrupt:
        say("interrupted")
        raise SystemExit(INTERRUPTED) from None
    except ImproperlyConfigured as error:
        refuse(str(error))
    except OperationalError as error:
        if "--traceback" in arguments:
            raise
        refuse(
            f"the database {database_in_words()} refuses ({' '.join(str(error).split())}): check "
            "DATABASE_URL and OPS_DATA_DIR, and run `manage.py migrate`"
        )


def make_data_directory() -> None:
    """Make the place of a private SQLite, which `migrate` needs and `up` may never have made."""
    from django.conf import settings  # noqa: PLC0415

    if Path(settings.DATABASES["default"]["NAME"]).parent == settings.OPS_DATA_DIR:
        settings.OPS_DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)


def database_in_words() -> str:
    """Say which database it is, without its password."""
    from django.conf import settings  # noqa: PLC0415

    database = settings.DATABASES["default"]
    host = f" at {database['HOST']}" if database.get("HOST") else ""
    return f"{database['NAME']}{host}"


def become(command: list[str], environment: dict[str, str]) -> NoReturn:
    """Replace this process: the id stays, so signals and exit code need no passing on."""
    os.execve(command[0], command, environment)  # noqa: S606 - no shell is wanted


def say(line: str) -> None:
    """Tell the operator what happens; on stderr, because stdout belongs to the command."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def refuse(reason: str) -> NoReturn:
    """End with one line that names the thing and the remedy."""
    say(f"error: {reason}")
    raise SystemExit(REFUSED)


if __name__ == "__main__":
    main(sys.argv[1:])
