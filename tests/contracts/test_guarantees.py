"""docs/guarantees.md names tests that are there, and every number that the code cites."""

import re
from pathlib import Path

import pytest

from opsproject.env import CHECKOUT

PAGE = (CHECKOUT / "docs/guarantees.md").read_text(encoding="utf-8")
APPS = ("scheduling", "monitoring", "maintenance", "retention", "opsproject")
NAMED = sorted(set(re.findall(r"`((?:unit|property|integration|faults|e2e)/[\w/.:]+)`", PAGE)))


def rows() -> list[list[str]]:
    lines = re.findall(r"^\| (?:[A-E]?\d+) \|.*$", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def sources() -> list[Path]:
    return [path for app in APPS for path in (CHECKOUT / app).rglob("*.py")]


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_exists(name: str) -> None:
    file, _, function = name.partition("::")
    text = (CHECKOUT / "tests" / file).read_text(encoding="utf-8")
    assert f"def {function or 'test_'}" in text


def test_every_promise_and_every_rule_is_defended() -> None:
    assert [number for number, _, defended in rows() if not defended] == []


def test_every_number_that_the_code_cites_is_explained() -> None:
    told = {number for number, *_ in rows()}
    cited = set()
    for path in sources():
        text = path.read_text(encoding="utf-8")
        for numbers in re.findall(
            r"(?:SPEC|DESIGN rules?) ([A-E]?\d+(?:(?:, | and |–)[A-E]?\d+)*)", text
        ):
            cited.update(re.findall(r"[A-E]?\d+", numbers))
    assert cited - told == set()
