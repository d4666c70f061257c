"""The settings that are documented are the settings that exist."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic_core import PydanticUndefined

from opsproject.env import CHECKOUT, ENV_FILE, SECRETS, Environment, read_environment

DOCUMENT = (CHECKOUT / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLE = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| (.+?) \| (.+) \|$", DOCUMENT, re.MULTILINE)


def test_every_setting_is_documented_in_the_order_of_the_code() -> None:
    assert [name for name, *_ in ROWS] == list(Environment.model_fields)


@pytest.mark.parametrize(("name", "default"), [(name, default) for name, _, default, _ in ROWS])
def test_a_documented_default_is_the_real_one(name: str, default: str) -> None:
    real = Environment.model_fields[name].default
    assert real is not PydanticUndefined
    if real is None:
        assert not default.startswith(("`true", "`false", "empty"))  # told in words
    elif default == "empty":
        assert real in ("", [])
    else:
        assert default == f"`{as_written(real)}`"


def test_every_secret_is_said_to_take_a_file() -> None:
    (sentence,) = re.findall(r"^Secrets may be given as a file: for (.*),", DOCUMENT, re.MULTILINE)
    assert set(re.findall(r"`([A-Z_]+)`", sentence)) - {"NAME_FILE"} == set(SECRETS)


def test_the_example_names_every_setting_once() -> None:
    named = re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE)
    assert sorted(named) == sorted(set(Environment.model_fields) - {ENV_FILE})


def test_every_line_of_the_example_is_a_valid_setting(tmp_path: Path) -> None:
    everything = tmp_path / ".env"
    everything.write_text(re.sub(r"^#(?=[A-Z_]+=)", "", EXAMPLE, flags=re.MULTILINE))
    assert len(dotenv_values(everything)) == len(Environment.model_fields) - 1
    assert read_environment({ENV_FILE: str(everything)}).OPS_PORT == 8095


def test_the_example_shows_the_zone_of_the_office() -> None:
    assert "\nSCHEDULER_TIMEZONE=Asia/Seoul\n" in EXAMPLE


def as_written(value: object) -> str:
    """Return a default as an operator would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and value:
        return ",".join(value)
    return str(value)
