"""Everything that can be killed: broker, database, beats and workers, and their common end."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Protocol
from urllib.parse import urlsplit

from django.conf import settings

from opsproject.chaos import members
from opsproject.chaos.errors import NotStartedError
from opsproject.chaos.members import Member
from opsproject.chaos.plan import Plan
from opsproject.launch import orphans
from opsproject.servers.server import Server

SERVER_SECONDS = 120.0
STOP_SECONDS = 30.0
ORPHAN_SECONDS = 5.0
POLL_SECONDS = 0.1


class Victim(Protocol):
    """What can be killed and started again: a member or a server."""

    @property
    def name(self) -> str:
        """What it is called in the report."""

    @property
    def log(self) -> Path:
        """Where it writes."""

    def start(self) -> None:
        """Begin another life, and return at once."""

    def kill(self) -> None:
        """SIGKILL."""

    def died_by_itself(self) -> int | None:
        """Return the exit code of a process that nobody killed, and forget it; else None."""


class Cluster:
    """Started in the order foundations, members; ended by `stop`, and by `kill` in any case."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self.directory = directory
        logs = _made(directory / "logs")
        self.broker = plan.server_of_broker()(
            _made(directory / "broker"),
            port=urlsplit(settings.CELERY_BROKER_URL).port,
            dies_with_us=True,
        )
        self.database = _database(plan, directory)
        self.members = [
            *(members.beat(number + 1, logs=logs) for number in range(plan.beats)),
            *(members.worker(number + 1, logs=logs) for number in range(plan.workers)),
        ]

    @property
    def servers(self) -> dict[str, Server]:
        """The servers by their kind."""
        found = {"broker": self.broker, "database": self.database}
        return {kind: server for kind, server in found.items() if server is not None}

    def victims(self) -> list[tuple[str, Victim]]:
        """Return all that can be killed, with its kind."""
        members: list[tuple[str, Victim]] = [(member.kind, member) for member in self.members]
        return [*members, *self.servers.items()]

    def start_servers(self, stop: Event) -> None:
        """Start them and wait until they answer; raise NotStartedError if one does not."""
        orphans.adopt_orphans()
        for server in self.servers.values():
            server.start()
        for server in self.servers.values():
            if not waited_for(server.answers, seconds=SERVER_SECONDS, stop=stop):
                why = "told to stop before it answered" if stop.is_set() else "it does not answer"
                raise NotStartedError(f"{server.name}: {why}, see {server.log}")

    def start_members(self) -> None:
        """Start beats and workers."""
        for member in self.members:
            member.start()

    def bury_orphans(self) -> None:
        """Reap what lost its parent and has ended meanwhile: nobody else will."""
        orphans.bury_orphans(but=self._own())

    def stop(self) -> list[str]:
        """Have the members end by SIGTERM; return what did not, and what was left behind."""
        for member in self.members:
            member.ask_to_stop()
        waited_for(lambda: not self._running(), seconds=STOP_SECONDS)
        late = [f"{one.name} did not stop within {STOP_SECONDS:g} s" for one in self._running()]
        for member in self.members:
            member.kill()
        waited_for(lambda: not self._orphans(), seconds=ORPHAN_SECONDS)
        return [*late, *(f"left behind: {_described(pid)}" for pid in self._orphans())]

    def kill(self) -> None:
        """End everything that there is, however it stands."""
        orphans.kill_children()

    def _running(self) -> list[Member]:
        return [
            member
            for member in self.members
            if member.process is not None and member.process.poll() is None
        ]

    def _orphans(self) -> list[int]:
        """Return our adopted children: processes whose parent died, and that went on."""
        self.bury_orphans()
        own = self._own()
        return [pid for pid in orphans.children() if pid not in own]

    def _own(self) -> set[int]:
        """Return the processes that we started ourselves, which their own waiters reap."""
        pids = {member.process.pid for member in self.members if member.process}
        return pids.union(*(server.pids() for server in self.servers.values()))


def waited_for(
    condition: Callable[[], object], *, seconds: float, stop: Event | None = None
) -> bool:
    """Wait until a condition holds, at most so long, or until told to stop; return if it holds."""
    pause = stop or Event()
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit or pause.wait(POLL_SECONDS):
            return False
    return True


def _database(plan: Plan, directory: Path) -> Server | None:
    server = plan.server_of_database()
    if server is None:
        return None
    port = int(settings.DATABASES["default"]["PORT"])
    return server(_made(directory / "database"), port=port, dies_with_us=True)


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _described(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        words = "it is gone by now"
    return f"pid {pid} ({words or 'no command line'})"
