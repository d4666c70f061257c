"""A private RabbitMQ node, from the machine's own installation."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path

from opsproject.launch.ports import LOOPBACK, free_port
from opsproject.servers.broker_answer import broker_answers
from opsproject.servers.errors import ServerMissingError
from opsproject.servers.server import Server

DEBIAN = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # behind the wrapper that insists on its own user
NAME_SERVER_SECONDS = 5.0


def rabbitmq_path() -> str:
    """Return where the server's script is; raise ServerMissingError if it is nowhere."""
    found = DEBIAN if Path(DEBIAN).exists() else shutil.which("rabbitmq-server")
    if found is None or shutil.which("epmd") is None:
        raise ServerMissingError(
            "RabbitMQ is not installed: get it, on Debian by `apt install rabbitmq-server`"
        )
    return found


class RabbitMQ(Server):
    """A node with everything of its own, its Erlang name server included."""

    name = "rabbitmq"

    def __init__(
        self, directory: Path, *, port: int | None = None, dies_with_us: bool = False
    ) -> None:
        super().__init__(directory, port=port, dies_with_us=dies_with_us)
        self._path = rabbitmq_path()
        self._names: subprocess.Popen[bytes] | None = None
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "RABBITMQ_NODENAME": f"node{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(free_port()),
        }

    @staticmethod
    def url_at(port: int) -> str:
        """Return where clients find one that listens there."""
        return f"amqp://guest:guest@{LOOPBACK}:{port}//"

    def start(self) -> None:
        """Begin to start the node on its data."""
        self._names = self._name_server()
        self.process = self._spawn([self._path], environment=self._environment)

    def _name_server(self) -> subprocess.Popen[bytes]:
        """Start ours and wait for it: the one that the node else starts is a daemon and stays."""
        port = self._environment["ERL_EPMD_PORT"]
        started = self._spawn(("epmd", "-port", port), environment=self._environment)
        limit = time.monotonic() + NAME_SERVER_SECONDS
        while not _listens(int(port)) and time.monotonic() < limit:
            time.sleep(0.01)  # it takes a few milliseconds
        return started

    def kill(self) -> None:
        """SIGKILL the node, and the name server, which would take the next one for a double."""
        super().kill()
        if self._names is not None:
            self._names.kill()
            self._names.wait()
            self._names = None

    def pids(self) -> set[int]:
        """Return the node and the name server."""
        return super().pids() | ({self._names.pid} if self._names else set())

    def answers(self) -> bool:
        """Tell whether it takes connections."""
        return broker_answers(self.url)


def _listens(port: int) -> bool:
    """Ask without binding the port, which would be in the way of whoever is about to."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
