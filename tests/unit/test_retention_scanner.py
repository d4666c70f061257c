"""What a scan lists and what it leaves out."""

import os
import socket
from pathlib import Path

import pytest

from retention.errors import RootUnusableError
from retention.files import FoundFile
from retention.scanner import DatasetScanner
from retention.spool import Spool


def test_only_regular_files_are_listed_and_the_rest_is_named(tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "deep").mkdir(parents=True)
    (root / "deep" / "a").write_bytes(b"abc")
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "link").symlink_to(root / "deep" / "a")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        scanner = DatasetScanner(root)
        found = list(scanner)

    status = (root / "deep" / "a").stat()
    assert [file.path for file in found] == ["deep/a"]
    assert found[0].fingerprint == f"3:{status.st_mtime_ns}:{status.st_ino}"
    assert {(item.path, item.reason) for item in scanner.skipped} == {
        ("link", "symbolic link"),
        ("loop", "symbolic link"),
        ("pipe", "named pipe"),
        ("socket", "socket"),
    }


def test_the_backup_root_is_passed_over_even_under_another_name(tmp_path: Path) -> None:
    backups = tmp_path / "data" / "backups"
    backups.mkdir(parents=True)
    (backups / "raw.tar").touch()
    (tmp_path / "data" / "raw").touch()
    (tmp_path / "alias").symlink_to(backups, target_is_directory=True)

    scanner = DatasetScanner(tmp_path / "data", exclude=tmp_path / "alias")

    assert [file.path for file in scanner] == ["raw"]
    assert [item.reason for item in scanner.skipped] == ["the backup root"]


def test_two_scans_list_in_the_same_byte_order(tmp_path: Path) -> None:
    for name in (b"b", b"a\xff", b"a\nb", b"z" * 255, b"a"):
        (tmp_path / os.fsdecode(name)).touch()
    scanner = DatasetScanner(tmp_path)

    first = [os.fsencode(file.path) for file in scanner]

    assert first == sorted(first)
    assert first == [os.fsencode(file.path) for file in scanner]
    assert len(first) == 5


def test_a_missing_root_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(RootUnusableError, match="nowhere"):
        list(DatasetScanner(tmp_path / "nowhere"))


def test_a_spool_gives_back_what_it_was_given_as_often_as_asked(tmp_path: Path) -> None:
    files = [
        FoundFile("a\n\udcff", 0, -(2**62), 1),
        FoundFile("in the year 1600", 1, -11_676_096_000 * 10**9 + 1, 1),
        FoundFile("b" * 4_000, 2**63, 2**62, 2**64 - 1),
    ]
    with Spool(tmp_path) as spool:
        assert list(spool) == []
        for file in files:
            spool.append(file)
        assert (list(spool), list(spool), len(spool)) == (files, files, 3)
        spool.append(files[0])
        assert list(spool) == [*files, files[0]]
        assert not list(tmp_path.iterdir())
