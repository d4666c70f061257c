"""Real servers for the tests: Valkey and PostgreSQL from wheels, RabbitMQ from Debian's package."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from opsproject.env import ENV_FILE, setting_names
from opsproject.launch import ports
from opsproject.servers import valkey
from opsproject.servers.postgresql import PostgreSQL
from opsproject.servers.rabbitmq import DEBIAN, RabbitMQ
from opsproject.servers.server import Server

free_port = ports.free_port


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


class Valkey(valkey.Valkey):
    """A private Valkey with AOF that can be killed and started again on its data."""

    def start(self) -> None:
        super().start()
        wait_for(self.answers, seconds=20, what="Valkey answers")


@contextmanager
def running_rabbitmq(directory: Path) -> Iterator[str]:
    """Yield the URL of a private RabbitMQ node; it ends with all it has started."""
    with running_node(directory) as node:
        yield node.url


@contextmanager
def running_node(directory: Path) -> Iterator[RabbitMQ]:
    """Yield a private RabbitMQ node itself, to be frozen and killed."""
    require("Debian's rabbitmq-server", available=Path(DEBIAN).exists())
    node = RabbitMQ(directory)
    with _running(node, seconds=90):
        yield node


@contextmanager
def running_postgres() -> Iterator[str]:
    """Yield the URL of a private PostgreSQL; as root it runs as nobody, in its own directory."""
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        server = PostgreSQL(directory)
        with _running(server, seconds=30):
            yield server.url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _running(server: Server, *, seconds: float) -> Iterator[None]:
    server.start()
    try:
        wait_for(lambda: _answers(server), seconds=seconds, what=f"{server.name} answers")
    except BaseException as error:
        error.add_note(server.log.read_text(encoding="utf-8", errors="replace")[-4000:])
        server.kill()
        raise
    try:
        yield
    finally:
        server.kill()


def _answers(server: Server) -> bool:
    """Tell whether it does; fail when it has ended instead."""
    code = server.died_by_itself()
    if code is not None:
        pytest.fail(f"{server.name} at port {server.port} has ended with {code}")
    return server.answers()
