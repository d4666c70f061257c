"""One archive: written once, read back whole, and refused when it is not."""

import errno
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maintenance.backup import BackupOrder, ChosenFiles, make_backup
from maintenance.compression import Compression
from maintenance.errors import (
    BackupError,
    ManifestError,
    SourceChangedError,
    SourceUnreadableError,
    VerificationError,
)
from maintenance.manifest import Manifest, ManifestWriter, Purpose
from maintenance.models import Backup
from maintenance.roots import Roots
from maintenance.verify import verify_backup
from retention.files import BackedUpFile, FoundFile, Skipped
from retention.scanner import DatasetScanner

pytestmark = pytest.mark.django_db


@pytest.fixture
def order(tmp_path: Path) -> BackupOrder:
    roots = Roots(dataset=tmp_path / "data", backup=tmp_path / "backups")
    (roots.dataset / "deep").mkdir(parents=True)
    roots.backup.mkdir()
    (roots.dataset / "deep" / "big").write_bytes(os.urandom(3 << 20))
    (roots.dataset / "empty").touch()
    with (roots.dataset / "sparse").open("wb") as sparse:
        sparse.truncate(2 << 20)
    return BackupOrder(roots=roots, purpose=Purpose.SNAPSHOT, now=datetime.now(UTC))


def _make(order: BackupOrder) -> Backup:
    return make_backup(DatasetScanner(order.roots.dataset), order)


def renamed(file: BackedUpFile, path: str) -> BackedUpFile:
    return file._replace(found=file.found._replace(path=path))


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("compression", Compression)
def test_stock_tar_opens_what_was_written(
    order: BackupOrder, compression: Compression, tmp_path: Path
) -> None:
    order = BackupOrder(
        roots=order.roots, purpose=order.purpose, now=order.now, compression=compression
    )

    backup = _make(order)

    archive = backup.directory / backup.archive_name
    target = tmp_path / "restored"
    target.mkdir()
    assert archive.name.endswith(compression)
    subprocess.run(["tar", "-xf", archive, "-C", target], check=True)
    subprocess.run(["diff", "-r", order.roots.dataset, target], check=True)
    digest = subprocess.run(["sha256sum", archive], capture_output=True, text=True, check=True)
    assert digest.stdout.split()[0] == backup.archive_sha256
    assert (backup.state, backup.file_count) == ("verified", 3)
    assert backup.total_bytes == 5 << 20


@pytest.mark.parametrize("compression", Compression)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999_999])
def test_one_flipped_bit_anywhere_is_noticed(
    order: BackupOrder, compression: Compression, share: float
) -> None:
    order = BackupOrder(
        roots=order.roots, purpose=order.purpose, now=order.now, compression=compression
    )
    backup = _make(order)
    archive = backup.directory / backup.archive_name
    content = bytearray(archive.read_bytes())
    content[int(len(content) * share)] ^= 1
    archive.write_bytes(content)

    with pytest.raises(VerificationError, match=backup.archive_name):
        verify_backup(backup.manifest_file)


@pytest.mark.parametrize("length", [0, 10, -1, 100])
def test_a_truncated_or_longer_archive_is_noticed(order: BackupOrder, length: int) -> None:
    backup = _make(order)
    archive = backup.directory / backup.archive_name
    content = archive.read_bytes()
    archive.write_bytes(content[:length] if length < 100 else content + b"\0")

    with pytest.raises(VerificationError):
        verify_backup(backup.manifest_file)


@pytest.mark.parametrize("forgery", ["another hash", "another name", "one more", "one less"])
def test_a_consistent_manifest_that_lists_what_the_archive_does_not_hold_is_noticed(
    order: BackupOrder, forgery: str
) -> None:
    backup = _make(order)
    manifest = Manifest.read(backup.manifest_file)
    files = list(manifest.files())
    match forgery:
        case "another hash":
            files[0] = files[0]._replace(sha256="0" * 64)
        case "another name":
            files[0] = renamed(files[0], "raw/live")
        case "one more":
            files.append(renamed(files[0], "raw/live"))
        case "one less":
            files.pop()
    backup.manifest_file.unlink()
    with ManifestWriter(backup.manifest_file, manifest.header) as writer:
        for file in files:
            writer.add(file)
        writer.finish(manifest.totals.stored, finished_at=manifest.totals.finished_at)

    with pytest.raises(VerificationError, match="as listed"):
        verify_backup(backup.manifest_file)


def test_a_missing_archive_and_a_foreign_manifest_are_noticed(order: BackupOrder) -> None:
    first, second = _make(order), _make(order)

    with pytest.raises(VerificationError, match="not the manifest that was recorded"):
        verify_backup(first.manifest_file, manifest_sha256=second.manifest_sha256)
    (first.directory / first.archive_name).unlink()
    with pytest.raises(VerificationError, match="cannot be read"):
        verify_backup(first.manifest_file)
    first.manifest_file.unlink()
    with pytest.raises(ManifestError, match="cannot be read"):
        verify_backup(first.manifest_file)


def test_a_file_that_changes_while_it_is_read_is_read_again(
    order: BackupOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _grow_while_read(order.roots.dataset / "deep" / "big", 2, monkeypatch)

    backup = _make(order)

    assert verify_backup(backup.manifest_file).totals.total_bytes == (5 << 20) + 2
    assert _names(order.roots.backup) == [backup.backup_id]


def test_a_file_that_never_holds_still_fails_the_backup_whole(
    order: BackupOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    _grow_while_read(order.roots.dataset / "deep" / "big", 99, monkeypatch)

    with pytest.raises(SourceChangedError, match="deep/big"):
        _make(order)

    assert _names(order.roots.backup) == []
    assert not Backup.objects.exists()


def _grow_while_read(path: Path, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Append a byte to the file each time it was opened and stat'ed, `times` times."""
    real, inode, left = os.fstat, path.stat().st_ino, [2 * times]

    def growing(handle: int) -> os.stat_result:
        status = real(handle)
        if status.st_ino == inode and left[0]:
            left[0] -= 1
            if left[0] % 2:
                with path.open("ab") as file:
                    file.write(b"+")
        return status

    monkeypatch.setattr(os, "fstat", growing)


def test_a_file_that_shrinks_or_vanishes_leaves_no_half_backup(order: BackupOrder) -> None:
    (order.roots.dataset / "empty").unlink()
    files = [FoundFile("empty", 0, 0, 0), FoundFile("sparse", 1, 0, 0)]

    backup = make_backup(ChosenFiles(files), order)

    manifest = verify_backup(backup.manifest_file)
    assert [file.path for file in manifest.files()] == ["sparse"]
    assert manifest.totals.skipped_count == 1


def test_something_unreadable_fails_the_backup_by_name(order: BackupOrder) -> None:
    source = ChosenFiles([], skipped=[Skipped("deep/secret", "unreadable: Permission denied")])

    with pytest.raises(SourceUnreadableError, match="deep/secret"):
        make_backup(source, order)

    assert _names(order.roots.backup) == []


def test_what_a_crash_left_half_done_is_swept_and_nothing_else(order: BackupOrder) -> None:
    ours = order.roots.backup / ".partial-000001-20260301T000000Z-abcdef"
    theirs = order.roots.backup / ".partial-notes"
    ours.mkdir()
    theirs.mkdir()

    backup = _make(order)

    assert _names(order.roots.backup) == [".partial-notes", backup.backup_id]


def test_what_is_flushed_along_the_way_is_flushed_and_its_failure_is_the_backups(
    order: BackupOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (order.roots.dataset / "big").write_bytes(os.urandom(3 << 20))
    flushed: list[int] = []
    monkeypatch.setattr("maintenance.streams.FLUSH_BYTES", 1 << 20)
    monkeypatch.setattr(os, "fdatasync", flushed.append)
    _make(order)
    assert len(flushed) >= 2

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    before = _names(order.roots.backup)
    with pytest.raises(BackupError, match="No space left on device"):
        _make(order)
    assert _names(order.roots.backup) == before


def test_a_backup_root_that_takes_nothing_is_an_error_with_a_remedy(order: BackupOrder) -> None:
    order.roots.backup.rmdir()

    with pytest.raises(BackupError, match="make room there or check the disk"):
        _make(order)
