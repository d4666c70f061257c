"""The beats and workers: each keeps its name and place over all its lives."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from opsproject.env import CHECKOUT
from opsproject.launch import orphans
from opsproject.servers.descendants import descendants_of, signal_all

APP: Final = "opsproject.chaos.app"
CONCURRENCY = 2


class Member:
    """One process of the cluster, with what it starts. Its lives share one log."""

    def __init__(self, kind: str, name: str, arguments: tuple[str, ...], *, logs: Path) -> None:
        self.kind = kind
        self.name = name
        self.log = logs / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.frozen: list[int] = []
        self._command = [sys.executable, "-m", "celery", "--quiet", "-A", APP, *arguments]

    def start(self) -> None:
        """Begin another life, and return at once."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own words
                self._command,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=orphans.die_with_parent,  # noqa: PLW1509 - one system call, no lock taken
            )

    def kill(self) -> None:
        """SIGKILL this process and no other: its children are left as a crash leaves them."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """SIGSTOP it and all it has started, as a suspended machine does."""
        if self.process is not None:
            signal_all([self.process.pid], signal.SIGSTOP)  # so that it starts nothing more
            self.frozen = [*descendants_of(self.process.pid), self.process.pid]
            signal_all(self.frozen, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT all that was frozen."""
        signal_all(self.frozen, signal.SIGCONT)
        self.frozen = []

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        if self.process is not None:
            self.process.terminate()

    def died_by_itself(self) -> int | None:
        """Return the exit code of a process that nobody killed, and forget it; else None."""
        code = None if self.process is None else self.process.poll()
        if code is not None:
            self.process = None
        return code


def beat(number: int, *, logs: Path) -> Member:
    """Return a beat that is not started yet."""
    return Member("beat", f"beat-{number}", ("beat", "--loglevel", "INFO"), logs=logs)


def worker(number: int, *, logs: Path) -> Member:
    """Return a worker that is not started yet; its node name is the same in every life."""
    name = f"worker-{number}"
    options = ("--concurrency", str(CONCURRENCY), "--hostname", f"{name}@{os.uname().nodename}")
    quiet = ("--loglevel", "INFO", "--without-gossip", "--without-mingle")
    return Member("worker", name, ("worker", *options, *quiet), logs=logs)
