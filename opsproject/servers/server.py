"""What every server of one's own can do: be started, be asked, be killed, be started again."""

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from opsproject.launch import orphans
from opsproject.launch.ports import free_port
from opsproject.servers.descendants import descendants_of, signal_all


class Server(ABC):
    """One server in a directory of its own; `url` is where clients find it.

    With `dies_with_us` it is told to stop when the thread that started it ends, even by SIGKILL.
    """

    name: str

    def __init__(
        self, directory: Path, *, port: int | None = None, dies_with_us: bool = False
    ) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.url = self.url_at(self.port)
        self.process: subprocess.Popen[bytes] | None = None
        self._dies_with_us = dies_with_us

    @staticmethod
    @abstractmethod
    def url_at(port: int) -> str:
        """Return where clients find one that listens there."""

    @abstractmethod
    def start(self) -> None:
        """Begin to start it on the data that is there, and return at once."""

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether a client could use it now."""

    def kill(self) -> None:
        """SIGKILL it and all it has started; what is on its disk is what a crash leaves."""
        if self.process is None:
            return
        pid = self.process.pid
        signal_all([pid], signal.SIGSTOP)  # so that it starts nothing more while we look
        signal_all([pid, *descendants_of(pid)], signal.SIGKILL)
        self.process.wait()
        self.process = None

    def died_by_itself(self) -> int | None:
        """Return the exit code of a process that nobody killed, and forget it; else None."""
        code = None if self.process is None else self.process.poll()
        if code is not None:
            self.kill()
        return code

    def pids(self) -> set[int]:
        """Return the processes that we have started for it ourselves."""
        return {self.process.pid} if self.process else set()

    @property
    def log(self) -> Path:
        """Where it writes what it has to say."""
        return self.directory / f"{self.name}.log"

    def _spawn(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own words
                [str(part) for part in command],
                cwd="/",
                env=environment,
                user=user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=orphans.stop_with_parent if self._dies_with_us else None,  # noqa: PLW1509 - one system call, no lock taken
            )
