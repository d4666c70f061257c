"""The file strategy: a tree of copies, those of unchanged files linked to the tree before."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance import tree
from maintenance.drill import drill
from maintenance.errors import BackupError, VerificationError
from maintenance.live import LiveFile, open_live
from maintenance.manifest import Manifest, Strategy
from maintenance.models import Backup
from maintenance.records import recheck_backup
from maintenance.restore import restore_backup
from maintenance.roots import Roots
from maintenance.verify import verify_backup
from retention.rooted import Descent
from retention.scanner import DatasetScanner
from tests import backups
from tests.backups import make_roots, put

pytestmark = pytest.mark.django_db
ODD_NAMES = ["a\n", os.fsdecode(b"\xff"), "x" * 255, " ", "-rf", "ä"]


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    roots = make_roots(tmp_path)
    for number, name in enumerate(ODD_NAMES):
        put(roots, f"deep/{number}/{name}", os.urandom(100), days_old=1)
    put(roots, "empty", b"", days_old=1)
    put(roots, "big", os.urandom(3 << 20), days_old=1)
    (roots.dataset / "big").chmod(0o640)
    return roots


def back_up(roots: Roots, *, base: Backup | None = None, later: int = 0) -> Backup:
    """Make a tree, as if the files had been still for long, which their ctime cannot be made."""
    now = datetime.now(UTC) + timedelta(minutes=later)
    before = Manifest.read(base.manifest_file) if base else None
    return backups.back_up(roots, Strategy.FILE, base=before, now=now)


@pytest.fixture
def first(roots: Roots) -> Backup:
    return back_up(roots, later=10)


def copy_of(backup: Backup, path: str) -> Path:
    return backup.directory / "files" / path


def test_the_copies_have_the_names_and_bytes_of_the_files(roots: Roots, first: Backup) -> None:
    for found in DatasetScanner(roots.dataset):
        assert copy_of(first, found.path).read_bytes() == (roots.dataset / found.path).read_bytes()
    assert (first.state, first.strategy, first.archive_name) == ("verified", "file", "")
    assert first.file_count == len(ODD_NAMES) + 2
    assert first.stored_bytes == first.total_bytes
    assert first.is_intact
    assert oct(copy_of(first, "big").stat().st_mode) == oct(0o100400)


def test_a_tree_restores_and_drills_as_an_archive_does(
    roots: Roots, first: Backup, tmp_path: Path
) -> None:
    restored = restore_backup(first.manifest_file, tmp_path / "to").restored
    assert (restored.files, restored.kept) == (first.file_count, [])
    live, back = roots.dataset / "big", tmp_path / "to" / "big"
    assert back.read_bytes() == live.read_bytes()
    assert back.stat().st_mode == live.stat().st_mode
    assert back.stat().st_mtime_ns == live.stat().st_mtime_ns
    assert drill(first.manifest_file, tmp_path).seconds > 0


def test_what_did_not_change_is_linked_and_not_read(
    roots: Roots, first: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noted(source: Descent, path: str) -> LiveFile | None:
        read.append(path)
        return open_live(source, path)

    monkeypatch.setattr(tree, "open_live", noted)
    put(roots, "deep/new", b"new", days_old=1)
    put(roots, "deep/0/a\n", b"changed", days_old=1)

    second = back_up(roots, base=first, later=20)

    assert read == ["deep/0/a\n", "deep/new"]
    assert second.stored_bytes == len(b"newchanged")
    assert second.changed_count == 1
    assert copy_of(second, "big").samefile(copy_of(first, "big"))
    assert not copy_of(second, "deep/0/a\n").samefile(copy_of(first, "deep/0/a\n"))
    assert copy_of(first, "deep/0/a\n").read_bytes() != b"changed"
    assert verify_backup(second.manifest_file).header.base_id == first.backup_id


def test_a_file_whose_times_were_set_back_is_read_all_the_same(roots: Roots, first: Backup) -> None:
    """Nobody can set back the time of that change itself."""
    big = roots.dataset / "big"
    before = big.stat()
    with big.open("r+b") as file:
        file.write(b"other bytes, same size")
    os.utime(big, ns=(before.st_atime_ns, before.st_mtime_ns))

    second = back_up(roots, base=first, later=20)

    assert copy_of(second, "big").read_bytes() == big.read_bytes()
    assert second.changed_count == 1


def test_a_file_written_while_the_backup_before_was_made_is_read_again(roots: Roots) -> None:
    """Within a tick of its clock a file system gives two writes the same times."""
    first = back_up(roots)
    second = back_up(roots, base=first, later=20)
    assert not copy_of(second, "big").samefile(copy_of(first, "big"))
    assert second.changed_count == 0


def test_every_seventh_is_a_full_copy(roots: Roots, first: Backup) -> None:
    linked = []
    last = first
    for number in range(1, 9):
        made = back_up(roots, base=last, later=10 + 10 * number)
        linked.append(copy_of(made, "big").samefile(copy_of(last, "big")))
        last = made
    assert linked == [True] * 6 + [False] + [True]


def test_a_copy_that_is_gone_or_has_another_size_is_made_anew(roots: Roots, first: Backup) -> None:
    copy_of(first, "big").unlink()
    copy_of(first, "empty").chmod(0o600)
    copy_of(first, "empty").write_bytes(b"not any more")

    second = back_up(roots, base=first, later=20)

    assert verify_backup(second.manifest_file).totals.file_count == first.file_count


def test_one_damaged_copy_makes_all_that_share_it_suspect(roots: Roots, first: Backup) -> None:
    second = back_up(roots, base=first, later=20)
    apart = back_up(roots, later=30)
    copy = copy_of(first, "big")
    copy.chmod(0o600)
    with copy.open("r+b") as file:
        file.write(b"\0")

    with pytest.raises(VerificationError, match="'big' is not in"):
        recheck_backup(first.backup_id, now=datetime.now(UTC))

    states = dict(Backup.objects.values_list("backup_id", "state"))
    assert states == {
        first.backup_id: "failed",
        second.backup_id: "suspect",
        apart.backup_id: "verified",
    }
    second.refresh_from_db()
    assert "'big' is one copy with that of" in second.error
    assert not second.is_intact


def test_what_is_in_the_tree_besides_the_copies_is_told(first: Backup) -> None:
    (first.directory / "files" / "deep" / "stray").symlink_to("/etc/passwd")
    with pytest.raises(VerificationError, match="'deep/stray' is a symbolic link, and no copy"):
        verify_backup(first.manifest_file)


def test_a_tree_that_is_a_link_holds_nothing(roots: Roots, first: Backup) -> None:
    shutil.rmtree(first.directory / "files")
    (first.directory / "files").symlink_to(roots.dataset)
    with pytest.raises(VerificationError, match="is a link, and no tree of copies"):
        verify_backup(first.manifest_file)


@pytest.mark.parametrize("missing", ["big", "."])
def test_a_tree_that_lacks_something_does_not_verify(first: Backup, missing: str) -> None:
    place = copy_of(first, missing)
    if missing == ".":
        shutil.rmtree(place)
    else:
        place.unlink()
    with pytest.raises(VerificationError):
        verify_backup(first.manifest_file)


def test_a_sparse_file_takes_no_more_room_than_it_has_bytes(roots: Roots, tmp_path: Path) -> None:
    with (roots.dataset / "sparse").open("wb") as sparse:
        sparse.truncate(64 << 20)
        sparse.seek(32 << 20)
        sparse.write(b"in the middle")
    backup = back_up(roots)
    restore_backup(backup.manifest_file, tmp_path / "to")
    for copy in (copy_of(backup, "sparse"), tmp_path / "to" / "sparse"):
        assert copy.read_bytes() == (roots.dataset / "sparse").read_bytes()
        assert copy.stat().st_blocks * 512 < 8 << 20


def test_a_disk_that_takes_no_more_leaves_nothing_half(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tree, "write_new", full)
    with pytest.raises(BackupError, match="No space left on device"):
        back_up(roots)
    assert [entry.name for entry in roots.backup.iterdir()] == []


def test_links_end_where_the_file_system_allows_no_more(
    roots: Roots, first: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(31, "Too many links")

    monkeypatch.setattr(os, "link", refuse)
    second = back_up(roots, base=first, later=20)
    assert second.stored_bytes == second.total_bytes
