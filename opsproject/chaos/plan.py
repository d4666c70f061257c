"""What the operator asked for: for how long, on what, and who is killed how often."""

import sys
from dataclasses import dataclass
from typing import Final

from opsproject.chaos.errors import RefusedError
from opsproject.servers.errors import ServerMissingError
from opsproject.servers.postgresql import PostgreSQL, postgresql_path
from opsproject.servers.rabbitmq import RabbitMQ, rabbitmq_path
from opsproject.servers.server import Server
from opsproject.servers.valkey import Valkey

KINDS: Final = ("beat", "worker", "broker", "database")
DATABASES: Final = ("sqlite", "postgresql")
BROKERS: Final[dict[str, type[Server]]] = {"valkey": Valkey, "rabbitmq": RabbitMQ}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run of chaos; with the same seed the same moments, victims and operator's actions."""

    seed: int
    minutes: float = 1.0
    kill: tuple[str, ...] = ("beat", "worker", "broker")
    database: str = "sqlite"
    broker: str = "valkey"
    beats: int = 3
    workers: int = 3
    offices: int = 3
    kills_per_minute: float = 20.0
    freeze: bool = False

    def __str__(self) -> str:
        whom = ", ".join([*self.kill, *(["frozen workers"] if self.freeze else [])])
        place = f"{self.database} and {self.broker}"
        return f"chaos on {place}, {self.minutes:g} min of {whom}, seed {self.seed}"

    def require_possible(self) -> None:
        """Raise RefusedError naming what contradicts itself or is missing here."""
        if sys.platform != "linux":
            raise RefusedError("chaos finds what a crash leaves behind in /proc: run it on Linux")
        self._require_kinds()
        if min(self.minutes, self.kills_per_minute, self.beats, self.workers) <= 0:
            raise RefusedError(
                "--minutes, --kills-per-minute, --beats and --workers must be above 0"
            )
        if self.offices < 0:
            raise RefusedError("--offices must be 0 or more")
        try:
            if self.database == "postgresql":
                postgresql_path()
            if self.broker == "rabbitmq":
                rabbitmq_path()
        except ServerMissingError as error:
            raise RefusedError(f"{error}; or leave it out for SQLite and Valkey") from None

    def _require_kinds(self) -> None:
        if unknown := sorted({*self.kill} - {*KINDS}):
            raise RefusedError(f"--kill {','.join(unknown)}: choose from {', '.join(KINDS)}")
        if not self.kill and not self.freeze:
            raise RefusedError("--kill names nobody: name one at least, or add --freeze")
        if "database" in self.kill and self.database == "sqlite":
            raise RefusedError(
                "--kill database: SQLite has no process to kill, it dies with those that use it; "
                "add --database postgresql"
            )

    def server_of_database(self) -> type[Server] | None:
        """Return the database server to start; None for SQLite, which is a file."""
        return PostgreSQL if self.database == "postgresql" else None

    def server_of_broker(self) -> type[Server]:
        """Return the broker to start."""
        return BROKERS[self.broker]

    def arguments(self) -> list[str]:
        """Return the options of the command that say all this."""
        given = {
            "--seed": self.seed,
            "--minutes": self.minutes,
            "--kill": ",".join(self.kill),
            "--database": self.database,
            "--broker": self.broker,
            "--beats": self.beats,
            "--workers": self.workers,
            "--offices": self.offices,
            "--kills-per-minute": self.kills_per_minute,
        }
        options = [f"{name}={value}" for name, value in given.items()]
        return [*options, *(["--freeze"] if self.freeze else [])]
