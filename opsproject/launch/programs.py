"""The processes of the platform: their names, command lines and how long each may take to stop."""

import os
import sys
from dataclasses import dataclass
from math import ceil

from opsproject.launch.ports import LOOPBACK

RELEASE_SECONDS = 3  # for a worker to end what did not finish, and to give it back
NO_LIMIT_SECONDS = 7 * 86_400  # the supervisor knows no "for ever"


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process to keep alive.

    What does not stop within `stop_seconds` is killed with its process group. A `foundation` is
    started before the others and stopped when they are gone.
    """

    name: str
    command: tuple[str, ...]
    stop_seconds: int
    foundation: bool = False


def broker(server: str, config: str) -> Program:
    """Carry the messages; it writes what it holds to disk every second, so it stops soon."""
    return Program(name="valkey", command=(server, config), stop_seconds=2, foundation=True)


def web(port: int) -> Program:
    """Serve the pages; streams that are still open get two seconds to end."""
    command = _python("uvicorn", "opsproject.asgi:application", "--host", LOOPBACK, "--port", port)
    manner = ("--timeout-graceful-shutdown", "2", "--no-access-log", "--lifespan", "off")
    return Program(name="web", command=(*command, *manner), stop_seconds=3)


def worker(concurrency: int, *, log_level: str, patience: float) -> Program:
    """Run the jobs; gossip and mingle serve clusters that elect a leader, and we have none.

    What runs when the worker is stopped has `patience` seconds to finish, 0 is no limit.
    """
    options = ("-E", "-c", concurrency, "-n", f"worker-{os.getpid()}@%h", "--loglevel", log_level)
    command = _celery("worker", *options, "--without-gossip", "--without-mingle")
    stop_seconds = ceil(patience) + RELEASE_SECONDS if patience else NO_LIMIT_SECONDS
    return Program(name="worker", command=command, stop_seconds=stop_seconds)


def beat(*, log_level: str) -> Program:
    """Plan the ticks."""
    return Program(name="beat", command=_celery("beat", "--loglevel", log_level), stop_seconds=3)


def flower(port: int) -> Program:
    """Show workers and tasks to the web process, which asks who is looking."""
    options = (f"--address={LOOPBACK}", f"--port={port}", "--url_prefix=flower")
    return Program(name="flower", command=_celery("flower", *options), stop_seconds=3)


def _celery(*arguments: object) -> tuple[str, ...]:
    return _python("celery", "--quiet", "-A", "opsproject", *arguments)  # lines, not banners


def _python(module: str, *arguments: object) -> tuple[str, ...]:
    """Start a module by this very Python, which has the dependencies, whatever PATH says."""
    return (sys.executable, "-m", module, *map(str, arguments))
