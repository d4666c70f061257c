"""A private Valkey, or the machine's own redis-server, that keeps what it holds in an AOF."""

from opsproject.launch.broker import server_path
from opsproject.launch.ports import LOOPBACK
from opsproject.servers.broker_answer import broker_answers
from opsproject.servers.server import Server


class Valkey(Server):
    """Writes its AOF every second: a SIGKILL loses nothing of it, and the ledger sends again."""

    name = "valkey"

    @staticmethod
    def url_at(port: int) -> str:
        """Return where clients find one that listens there."""
        return f"redis://{LOOPBACK}:{port}/0"

    def start(self) -> None:
        """Begin to start it on its AOF."""
        place = ("--bind", LOOPBACK, "--port", str(self.port), "--dir", self.directory)
        self.process = self._spawn([server_path(), *place, "--appendonly", "yes", "--save", ""])

    def answers(self) -> bool:
        """Tell whether it has read its AOF and takes commands."""
        return broker_answers(self.url)
