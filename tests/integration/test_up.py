"""`manage.py up` as an operator uses it: real processes, a directory and ports of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from opsproject.env import CHECKOUT
from tests.servers import bare_environment, free_port, wait_for

WAIT_SECONDS = 60
STOP_SECONDS = 15


class Platform:
    """One `up` and what it has printed so far."""

    def __init__(self, data: Path, *arguments: str, **settings: str) -> None:
        self.data = data
        self.port = settings.setdefault("OPS_PORT", str(free_port()))
        self.address = f"http://127.0.0.1:{self.port}"
        self._log = data.with_suffix(f".{self.port}.log")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(CHECKOUT / "manage.py"), "up", *arguments],
                env={**bare_environment(), "OPS_DATA_DIR": str(data), **settings},
                cwd=data.parent,  # it must not matter where it is started
                stdout=log,
                stderr=log,
            )

    def text(self) -> str:
        """Return everything printed so far."""
        return self._log.read_text()

    def wait_until_ready(self) -> "Platform":
        """Return when the line with the address is there."""
        ready = f"ready at {self.address}/"
        wait_for(lambda: ready in self.text(), seconds=WAIT_SECONDS, what="up is ready")
        return self

    def end(self, seconds: float = WAIT_SECONDS) -> tuple[int, str]:
        """Wait for its end and return the exit code and what was printed."""
        return self.process.wait(seconds), self.text()

    def stop(self, number: signal.Signals) -> int:
        """Ask it to stop and return the exit code; it must not take longer than promised."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def processes(self) -> list[int]:
        """Return the living processes that work on its data directory."""
        mark = f"OPS_DATA_DIR={self.data}".encode()
        return [
            int(entry.parent.name)
            for entry in Path("/proc").glob("[0-9]*/environ")
            if mark in read(entry)
        ]

    def pids(self, name: str) -> list[int]:
        """Return the process ids that a program has had so far."""
        return [int(pid) for pid in re.findall(rf"spawned: '{name}' with pid (\d+)", self.text())]

    def has_started(self, name: str, *, times: int) -> bool:
        """Tell whether a program has been started that often."""
        return len(self.pids(name)) >= times


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Platform]]:
    """Start platforms on one data directory; whatever a test leaves is stopped."""
    started: list[Platform] = []

    def start(*arguments: str, **settings: str) -> Platform:
        started.append(Platform(tmp_path / "data", *arguments, **settings))
        return started[-1]

    yield start
    for platform in started:
        if platform.process.poll() is None:
            platform.stop(signal.SIGTERM)
        sys.stdout.write(platform.text())  # shown by pytest with a failure


def test_it_answers_and_a_signal_leaves_nothing(up: Callable[..., Platform]) -> None:
    platform = up().wait_until_ready()
    # Celery answers a signal that comes while beat still imports with a traceback.
    wait_for(lambda: "scheduler_ready" in platform.text(), seconds=30, what="beat has started")
    assert httpx.get(f"{platform.address}/health").status_code in {200, 500}
    assert len(platform.processes()) > 5
    assert platform.stop(signal.SIGTERM) == 0
    assert platform.processes() == []
    assert list(platform.data.glob("*.draft")) == []
    assert [file for file in platform.data.rglob("*") if file.stat().st_mode & 0o077] == []
    assert "Traceback" not in platform.text()


def test_the_credentials_are_shown_at_the_first_start_only(up: Callable[..., Platform]) -> None:
    first = up().wait_until_ready()
    assert "First start" in first.text()
    password = re.findall(r"password  (\S+)", first.text())[0]
    assert log_in(first, password)
    assert first.stop(signal.SIGINT) == 0
    second = up().wait_until_ready()
    assert "First start" not in second.text()
    assert log_in(second, password)


def test_a_second_start_says_who_holds_the_directory(up: Callable[..., Platform]) -> None:
    first = up().wait_until_ready()
    code, text = up().end()
    assert code == 1
    assert f"is held by process {first.process.pid} (port {first.port})" in only_line(text)


def test_whatever_is_killed_comes_back(up: Callable[..., Platform]) -> None:
    platform = up().wait_until_ready()
    names = ("valkey", "web", "worker", "beat", "flower")
    for name in names:
        os.kill(platform.pids(name)[0], signal.SIGKILL)
    for name in names:
        again = partial(platform.has_started, name, times=2)
        wait_for(again, seconds=WAIT_SECONDS, what=f"{name} is started again")
    wait_for(lambda: answers(platform), seconds=WAIT_SECONDS, what="the page is served")


def test_what_is_told_to_the_processes_is_not_in_their_arguments(
    up: Callable[..., Platform],
) -> None:
    platform = up().wait_until_ready()
    broker = (platform.data / "broker_url").read_text()
    password = broker.partition("redis://:")[2].partition("@")[0]
    arguments = [read(Path(f"/proc/{pid}/cmdline")) for pid in platform.processes()]
    environment = read(Path(f"/proc/{platform.pids('flower')[0]}/environ")).decode()
    flower = environment.partition("FLOWER_BASIC_AUTH=ops:")[2].partition("\0")[0]
    assert flower
    assert password not in platform.text()
    assert not any(secret.encode() in line for line in arguments for secret in (password, flower))


@pytest.mark.timeout(300)
def test_a_smoke_run_prints_the_ledger_and_stops(up: Callable[..., Platform]) -> None:
    platform = up("--smoke")
    code, text = platform.end(240)
    assert code == 0, text
    ledger = text.partition("scheduled for")[2]
    for job in ("pipeline", "broker_heartbeat", "dashboard_update", "backup_maintenance"):
        assert re.search(rf"^{job} .* done ", ledger, re.MULTILINE)
    assert platform.processes() == []


def test_a_port_in_use_is_one_line(up: Callable[..., Platform]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, text = up(OPS_PORT=str(port)).end()
    assert code == 1
    assert f"port {port} is taken" in only_line(text)
    assert "OPS_PORT" in text


def test_a_data_directory_that_cannot_be_made_is_one_line(
    up: Callable[..., Platform], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code, text = up(OPS_DATA_DIR=str(tmp_path / "file" / "data")).end()
    assert code == 1
    assert only_line(text).startswith("error: OPS_DATA_DIR=")


def test_a_database_that_refuses_the_tables_is_one_line(
    up: Callable[..., Platform], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a database, but long enough to be read as a broken one")
    code, text = up(DATABASE_URL=f"sqlite:///{tmp_path / 'file'}").end()
    assert code == 1
    assert only_line(text).startswith(f"error: the SQLite file {tmp_path / 'file'} cannot be used")


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("DATABASE_URL", "postgres"), ("CELERY_BROKER_URL", "redis"), ("CELERY_BROKER_URL", "amqp")],
)
def test_a_server_that_does_not_answer_is_one_line_without_its_password(
    up: Callable[..., Platform], name: str, scheme: str
) -> None:
    port = free_port()
    code, text = up(**{name: f"{scheme}://ops:hunter2@127.0.0.1:{port}/0"}).end()
    assert code == 1
    assert only_line(text).startswith(f"error: {name}")
    assert str(port) in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPS_PROT", "8095"),
        ("OPS_PORT", "eighty"),
        ("OPS_ENV_FILE", "no/such/file"),
        ("DATABASE_URL", "nonsense://x"),
        ("SENTRY_DSN", "foo"),
        ("OPS_TARGETS", '{"x": {"callable": "a.b", "interval_ms": 3200000000000}}'),
    ],
)
def test_a_setting_that_does_not_fit_is_one_line(
    up: Callable[..., Platform], name: str, value: str
) -> None:
    code, text = up(**{name: value}).end()
    assert code == 2
    assert name in only_line(text)


def only_line(text: str) -> str:
    """Return the only line that was printed."""
    (line,) = text.splitlines()
    return line


def answers(platform: Platform) -> bool:
    """Tell whether the page is served."""
    try:
        return httpx.get(f"{platform.address}/health").status_code > 0
    except httpx.TransportError:
        return False


def log_in(platform: Platform, password: str) -> bool:
    """Tell whether the admin site takes the password of the first start."""
    with httpx.Client(base_url=platform.address, follow_redirects=True) as browser:
        page = browser.get("/admin/login/")
        form = {"username": "admin", "password": password, "next": "/admin/"}
        form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        page = browser.post("/admin/login/", data=form, headers={"Referer": str(page.url)})
        return page.url.path == "/admin/"


def read(file: Path) -> bytes:
    """Return a file of /proc, empty if its process has gone."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""
