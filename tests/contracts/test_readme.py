"""The README's commands exist as written."""

import re
import subprocess
import sys

from django.conf import settings

from opsproject.env import CHECKOUT

README = (CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_the_first_commands_are_the_two_that_a_newcomer_needs() -> None:
    first = README.partition("```sh\n")[2].partition("```")[0]
    assert [line.partition("#")[0].strip() for line in first.splitlines()] == [
        "python3 manage.py up",
        "python3 manage.py test",
    ]


def test_every_command_of_ours_exists() -> None:
    named = set(re.findall(r"manage\.py ([a-z_]+)", README)) - {"test"}
    listed = subprocess.run(
        [sys.executable, "manage.py", "help", "--commands"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert named - set(listed.stdout.split()) == set()


def test_production_installs_no_development_tools() -> None:
    production = README.partition("## In production")[2].partition("## ")[0]
    assert re.findall(r"uv run (?!--no-dev )", production) == []


def test_every_place_exists() -> None:
    for place in re.findall(r"^\| `(?!/)([\w./]+)` \|", README, re.MULTILINE):
        if place not in settings.OPS_TARGETS:
            assert (CHECKOUT / place).exists(), place


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https:)([^)]+)\)", README):
        assert (CHECKOUT / target).is_file(), target


def test_the_standing_jobs_are_told_with_their_intervals() -> None:
    told = re.findall(r"^\| `(\w+)` \| (\d+) s \|", README, re.MULTILINE)
    real = {name: target.interval_ms for name, target in settings.OPS_TARGETS.items()}
    assert {name: int(seconds) * 1000 for name, seconds in told} == real
