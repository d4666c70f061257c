"""The data directory of `up`: private, whole files, one holder."""

import os
import stat
from pathlib import Path

import pytest

from opsproject.launch.data_directory import held_data_directory
from opsproject.launch.errors import DataDirectoryError
from opsproject.launch.secret_key import ensure_secret_key


def test_the_directory_and_what_is_kept_in_it_are_private(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "down"
    with held_data_directory(place, port=1) as directory:
        kept = directory.write("secret", "word")
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert directory.read("secret") == "word"
        assert directory.read("nothing") is None


def test_a_text_is_replaced_whole_and_leaves_no_draft(tmp_path: Path) -> None:
    with held_data_directory(tmp_path, port=1) as directory:
        (tmp_path / ".config.draft").write_text("left by a killed start")
        directory.write("config", "long " * 100)
        directory.write("config", "short")
        assert directory.read("config") == "short"
        assert [entry.name for entry in tmp_path.glob("*draft")] == []


def test_a_second_holder_is_told_who_holds_it(tmp_path: Path) -> None:
    second = held_data_directory(tmp_path, port=2)
    with (
        held_data_directory(tmp_path, port=8095),
        pytest.raises(DataDirectoryError, match=rf"held by process {os.getpid()} \(port 8095\)"),
        second,
    ):
        pass


def test_the_directory_is_free_again_when_its_holder_has_gone(tmp_path: Path) -> None:
    for port in (1, 2):
        with held_data_directory(tmp_path, port=port):
            assert f'"port": {port}' in (tmp_path / "up.lock").read_text()


def test_a_place_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    hopeless = held_data_directory(tmp_path / "file" / "data", port=1)
    with pytest.raises(DataDirectoryError, match=r"^OPS_DATA_DIR=.*make it writable"), hopeless:
        pass


def test_the_secret_key_is_drawn_once(tmp_path: Path) -> None:
    with held_data_directory(tmp_path, port=1) as directory:
        ensure_secret_key(directory)
        first = directory.read("secret_key")
        ensure_secret_key(directory)
        assert first is not None
        assert len(first) >= 50
        assert directory.read("secret_key") == first


def test_a_kept_text_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "folder").mkdir()
    with held_data_directory(tmp_path, port=1) as directory:
        for name in ("binary", "folder"):
            with pytest.raises(DataDirectoryError, match=rf"{tmp_path / name} cannot be read"):
                directory.read(name)
