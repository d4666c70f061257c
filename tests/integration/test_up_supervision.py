"""Keeping processes alive under supervisord, and leaving none behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest

from opsproject.env import CHECKOUT
from tests.servers import bare_environment, wait_for

WAIT_SECONDS = 30

# Runs the programs found as files in its first argument's directory, until told to stop.
HOST = """
import os, sys, pathlib
from opsproject.launch.data_directory import held_data_directory
from opsproject.launch.output import LinePrinter
from opsproject.launch.programs import Program
from opsproject.launch.stop_request import stop_on_signals
from opsproject.launch.supervision import LOG, supervised

place = pathlib.Path(sys.argv[1])
programs = [
    Program(
        name=file.stem,
        command=(sys.executable, "-u", str(file)),
        stop_seconds=2,
        foundation=file.stem == "base",
    )
    for file in sorted(place.glob("*.py"))
]
with stop_on_signals() as stop, held_data_directory(place / "data", port=1) as directory:
    names = [LOG, *(program.name for program in programs)]
    printer = LinePrinter(names, to=sys.stdout.buffer, on_closed=stop.set)
    with supervised(programs, directory=directory, environment=os.environ, printer=printer) as all:
        while not stop.wait(0.2):
            all.require_running()
"""

OBEDIENT = "import os, time; print('pid', os.getpid()); time.sleep(1000)"
STUBBORN = """
import os, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
print("child", child.pid)
print("pid", os.getpid())
while True:
    time.sleep(1000)
"""
LAST_WORDS = """
import os, signal, sys, time
def leave(*_):
    print("leaving")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("pid", os.getpid())
time.sleep(1000)
"""


class Host:
    """A running host and what it has printed so far."""

    def __init__(self, place: Path) -> None:
        self._log = place / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", HOST, str(place)],
                cwd=CHECKOUT,
                env=bare_environment(),
                stdout=log,
                stderr=log,
            )

    def lines(self) -> list[str]:
        """Return the lines printed so far."""
        return self._log.read_text().splitlines()

    def numbers(self, name: str, word: str) -> list[int]:
        """Return the numbers that a program printed after a word."""
        marked = [line.split("|", 1) for line in self.lines() if "|" in line]
        said = [text.split() for source, text in marked if source.strip() == name]
        return [int(words[1]) for words in said if words[0] == word]

    def stop(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Start a host with programs given by name; whatever a test leaves is stopped."""
    hosts: list[Host] = []

    def start_host(**programs: str) -> Host:
        for name, source in programs.items():
            (tmp_path / f"{name}.py").write_text(dedent(source))
        hosts.append(Host(tmp_path))
        for name in programs:
            started = partial(hosts[-1].numbers, name, "pid")
            wait_for(started, seconds=WAIT_SECONDS, what=f"{name} runs")
        return hosts[-1]

    yield start_host
    for host in hosts:
        if host.process.poll() is None:
            host.stop(signal.SIGTERM)


def test_a_process_that_is_killed_comes_back(start: Callable[..., Host]) -> None:
    host = start(base=OBEDIENT, work=OBEDIENT)
    for name in ("base", "work"):
        os.kill(host.numbers(name, "pid")[0], signal.SIGKILL)
    for name in ("base", "work"):
        again = partial(has_started_twice, host, name)
        wait_for(again, seconds=WAIT_SECONDS, what=f"{name} runs again")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_and_the_foundation_last(
    start: Callable[..., Host], number: signal.Signals
) -> None:
    host = start(base=LAST_WORDS, work=LAST_WORDS)
    assert host.stop(number) == 0
    assert [line.replace(" ", "") for line in host.lines() if "leaving" in line] == [
        "work|leaving",
        "base|leaving",
    ]


def test_what_does_not_stop_is_killed_with_its_orphans(start: Callable[..., Host]) -> None:
    host = start(base=OBEDIENT, work=STUBBORN)
    began = time.monotonic()
    assert host.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began < 15  # the promise to the operator, not a measure of speed
    for pid in (*host.numbers("work", "pid"), *host.numbers("work", "child")):
        assert not is_alive(pid)


def test_a_second_signal_changes_nothing(start: Callable[..., Host]) -> None:
    host = start(base=OBEDIENT, work=STUBBORN)
    host.process.send_signal(signal.SIGINT)
    assert host.stop(signal.SIGINT) == 0
    assert not any(is_alive(pid) for pid in host.numbers("base", "pid"))


def test_the_processes_stop_when_their_host_is_killed(start: Callable[..., Host]) -> None:
    host = start(base=OBEDIENT, work=OBEDIENT)
    host.stop(signal.SIGKILL)
    for name in ("base", "work"):
        gone = partial(has_ended, host.numbers(name, "pid")[0])
        wait_for(gone, seconds=WAIT_SECONDS, what=f"{name} is gone")


def test_a_killed_supervisor_ends_the_host_with_everything(start: Callable[..., Host]) -> None:
    host = start(base=OBEDIENT, work=OBEDIENT)
    (supervisor,) = children(host.process.pid)
    os.kill(supervisor, signal.SIGKILL)
    assert host.process.wait(20) == 1
    assert "SupervisorError: the process supervisor ended with -9" in host.lines()[-1]
    assert not is_alive(host.numbers("work", "pid")[0])


def has_started_twice(host: Host, name: str) -> bool:
    """Tell whether a program has been started a second time."""
    return len(host.numbers(name, "pid")) == 2


def has_ended(pid: int) -> bool:
    """Tell whether a process is no more."""
    return not is_alive(pid)


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
