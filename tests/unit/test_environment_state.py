"""The settings that come from files which `up` keeps, and the databases that are taken."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from opsproject.env import CHECKOUT

Read = Callable[..., dict[str, Any]]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Return a function that reads the settings anew, with this data directory."""

    def settings(**given: str) -> dict[str, Any]:
        for name, value in {"OPS_DATA_DIR": str(tmp_path), **given}.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(CHECKOUT / "opsproject" / "settings.py"))

    return settings


def test_what_up_keeps_is_found_and_what_is_missing_has_a_stand_in(
    read: Read, tmp_path: Path
) -> None:
    before = read()
    (tmp_path / "secret_key").write_text("k" * 50 + "\n")
    (tmp_path / "broker_url").write_text("redis://:word@127.0.0.1:7/0\n")

    after = read()

    assert len(before["SECRET_KEY"]) >= 50
    assert before["CELERY_BROKER_URL"] == "redis://127.0.0.1:6379/0"
    assert after["SECRET_KEY"] == "k" * 50
    assert after["CELERY_BROKER_URL"] == "redis://:word@127.0.0.1:7/0"


@pytest.mark.parametrize("name", ["secret_key", "broker_url"])
def test_a_kept_file_that_cannot_be_read_is_one_line(read: Read, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ImproperlyConfigured, match=rf"{file} cannot be read .*remove it") as text:
        read()
    file.unlink()
    file.mkdir()
    with pytest.raises(ImproperlyConfigured, match=rf"{file} cannot be read .*remove it") as other:
        read()
    assert "\n" not in f"{text.value}{other.value}"


def test_a_data_directory_that_is_a_file_is_left_to_up_to_refuse(
    read: Read, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    assert read(OPS_DATA_DIR=str(tmp_path / "file"))["SECRET_KEY"]


@pytest.mark.parametrize("scheme", ["mysql", "oracle", "mssql", "postgis", "nonsense"])
def test_a_database_of_another_make_is_one_line_without_its_password(
    read: Read, scheme: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL is refused: use") as caught:
        read(DATABASE_URL=f"{scheme}://ops:hunter2@127.0.0.1/ops")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "engine"),
    [
        ("postgres://ops@127.0.0.1/ops", "django.db.backends.postgresql"),
        ("postgresql://ops@127.0.0.1/ops", "django.db.backends.postgresql"),
        ("sqlite:////tmp/ops.sqlite3", "django.db.backends.sqlite3"),
        ("sqlite://:memory:", "django.db.backends.sqlite3"),
    ],
)
def test_the_two_makes_of_database_are_taken(read: Read, url: str, engine: str) -> None:
    assert read(DATABASE_URL=url)["DATABASES"]["default"]["ENGINE"] == engine
