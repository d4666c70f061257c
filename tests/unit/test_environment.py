"""What operators set: where it is read from, what comes first, and what is refused in one line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from opsproject.env import Environment, read_environment

NOTHING = {"OPS_ENV_FILE": ""}


def test_the_tests_read_no_file_of_settings() -> None:
    assert os.environ["OPS_ENV_FILE"] == ""


def test_without_a_file_the_defaults_hold() -> None:
    assert read_environment(NOTHING) == Environment(OPS_ENV_FILE="")


def test_the_environment_comes_first_and_the_files_it_names_before_the_file_of_settings(
    tmp_path: Path,
) -> None:
    for place in ("near", "far"):
        (tmp_path / place).write_text(f"postgres://{place}-secret/x\n")
    near = {"DATABASE_URL_FILE": str(tmp_path / "near")}
    far = f"DATABASE_URL_FILE={tmp_path / 'far'}\n"
    line = "DATABASE_URL=postgres://line/x\n"
    assert database(tmp_path, far, **near, DATABASE_URL="postgres://set/x") == "postgres://set/x"
    assert database(tmp_path, line + far, **near) == "postgres://near-secret/x"
    assert database(tmp_path, line + far) == "postgres://line/x"
    assert database(tmp_path, far) == "postgres://far-secret/x"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("OPS_PROT=8095", "OPS_PROT is not a setting: did you mean OPS_PORT"),
        ("OPS_PORT", "OPS_PORT='' is refused"),
        ("SECRET_KEY_FILE=/no/such/file", "SECRET_KEY_FILE='/no/such/file' cannot be read"),
        ("OPS_ENV_FILE=other", "OPS_ENV_FILE stands in .*: set it in the environment only"),
    ],
)
def test_what_does_not_fit_in_the_file_is_refused_as_in_the_environment(
    tmp_path: Path, line: str, words: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=words):
        with_file(tmp_path, line)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for hopeless in (tmp_path, tmp_path / "binary", tmp_path / "missing"):
        with pytest.raises(ImproperlyConfigured, match="cannot be read") as caught:
            read_environment({"OPS_ENV_FILE": str(hopeless)})
        assert str(hopeless) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "lowest", "highest"),
    [
        ("interval_ms", 1_000, 3_155_760_000_000),
        ("error_backoff_ms", 1, 86_400_000),
        ("max_consecutive_errors", 1, 1_000_000),
    ],
)
def test_the_numbers_of_a_target_have_bounds(field: str, lowest: int, highest: int) -> None:
    for taken in (lowest, highest):
        assert getattr(targets(**{field: taken})["mine"], field) == taken
    refused: list[object] = [lowest - 1, highest + 1, 10**20, 1e20, True, "1000"]
    for value in refused:
        with pytest.raises(ImproperlyConfigured, match=rf"OPS_TARGETS\[mine\]\[{field}\]"):
            targets(**{field: value})


@pytest.mark.parametrize("name", ["OPS_TARGETS", "OPS_REDACTION_PATTERNS"])
def test_what_is_not_json_is_refused(name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=rf"^{name}=.*Invalid JSON"):
        read_environment({**NOTHING, name: "{oops"})


@pytest.mark.parametrize(
    "dsn",
    ["hunter2", "https://sentry.example.org/1", "https://hunter2@h/x", "https://hunter2@h:99999/1"],
)
def test_an_address_of_sentry_that_does_not_fit_is_refused_and_not_shown(dsn: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^SENTRY_DSN is refused: use") as caught:
        read_environment({**NOTHING, "SENTRY_DSN": dsn})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("dsn", ["", "https://key@sentry.example.org/1"])
def test_an_address_of_sentry_is_taken_and_an_empty_one_means_none(dsn: str) -> None:
    given = read_environment({**NOTHING, "SENTRY_DSN": dsn}).SENTRY_DSN
    assert given is not None
    assert given.get_secret_value() == dsn


@pytest.mark.parametrize("letter", ["\n", "\r", "\0", "\x1b", "\x7f", "\x85", "\udcff"])
def test_a_data_directory_that_cannot_stand_in_a_line_is_refused(letter: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^OPS_DATA_DIR.* is refused") as caught:
        read_environment({**NOTHING, "OPS_DATA_DIR": f"/srv/a{letter}b"})
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "path", ["/srv/ops", "relative", "/srv/운영 데이터", "/srv/運用\u3000データ"]
)
def test_a_data_directory_may_have_any_letters(path: str) -> None:
    given = read_environment({**NOTHING, "OPS_DATA_DIR": path}).OPS_DATA_DIR
    assert given == Path(path)


def with_file(tmp_path: Path, text: str, **environ: str) -> Environment:
    """Return the settings of an environment and a file of settings."""
    file = tmp_path / "settings"
    file.write_text(text)
    return read_environment({"OPS_ENV_FILE": str(file), **environ})


def database(tmp_path: Path, text: str, **environ: str) -> str | None:
    """Return the database that an environment and a file of settings name."""
    given = with_file(tmp_path, text, **environ).DATABASE_URL
    return given.get_secret_value() if given else None


def targets(**given: object) -> dict[str, Any]:
    """Return the standing jobs of a setting that names one, with these values."""
    mine = {"callable": "package.run", "interval_ms": 1_000, **given}
    return read_environment({**NOTHING, "OPS_TARGETS": json.dumps({"mine": mine})}).OPS_TARGETS
