"""A private Valkey, or the machine's own redis-server, that keeps what it holds in an AOF."""

from pathlib import Path

from opsproject.launch.broker import server_path
from opsproject.launch.ports import LOOPBACK, free_port
from opsproject.servers.broker_answer import broker_answers
from opsproject.servers.server import Server


class Valkey(Server):
    """Writes its AOF every second: a SIGKILL loses nothing of it, and the ledger sends again."""

    name = "valkey"

    def __init__(self, directory: Path, *, dies_with_us: bool = False) -> None:
        super().__init__(directory, dies_with_us=dies_with_us)
        self.port = free_port()
        self.url = f"redis://{LOOPBACK}:{self.port}/0"

    def start(self) -> None:
        """Begin to start it on its AOF."""
        place = ("--bind", LOOPBACK, "--port", str(self.port), "--dir", self.directory)
        self.process = self._spawn([server_path(), *place, "--appendonly", "yes", "--save", ""])

    def answers(self) -> bool:
        """Tell whether it has read its AOF and takes commands."""
        return broker_answers(self.url)
