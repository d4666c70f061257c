"""Restoring: only what verifies, into its target and nowhere else, over nothing unasked."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from maintenance.archive import ArchiveWriter
from maintenance.backup import BackupOrder, make_backup
from maintenance.drill import drill
from maintenance.errors import BackupUnreadableError, RestoreError, VerificationError
from maintenance.locks import reading
from maintenance.manifest import Header, ManifestWriter, Purpose, Strategy
from maintenance.models import Backup
from maintenance.records import restore_named
from maintenance.restore import Restoration, restore_backup
from maintenance.roots import Roots
from maintenance.tar import TarReader
from maintenance.target import A_DIRECTORY, EXISTS, IN_THE_WAY
from maintenance.verify import verify_backup
from retention.files import BackedUpFile, FoundFile
from retention.scanner import DatasetScanner

pytestmark = pytest.mark.django_db

NAMES = ("a", "deep/er/b", "deep/er.c", "new\nline", "wild\udcff", "x" * 255)
LONG_AGO_NS = -123_456_789_012  # before 1970


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    roots = Roots(dataset=tmp_path / "data", backup=tmp_path / "backups")
    roots.backup.mkdir()
    for number, name in enumerate(NAMES):
        path = roots.dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1000 * number))
        path.chmod(0o640)
    os.utime(roots.dataset / "a", ns=(LONG_AGO_NS, LONG_AGO_NS))
    return roots


@pytest.fixture
def backup(roots: Roots) -> Backup:
    order = BackupOrder(roots=roots, purpose=Purpose.SNAPSHOT, now=datetime.now(UTC))
    return make_backup(DatasetScanner(roots.dataset), order)


def facts(root: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return what is below a root: content, mode and time by path."""
    return {
        found.path: (
            (root / found.path).read_bytes(),
            (root / found.path).stat().st_mode,
            found.mtime_ns,
        )
        for found in DatasetScanner(root)
    }


def kept(restoration: Restoration) -> dict[str, str]:
    return {item.path: item.reason for item in restoration.restored.kept}


def test_everything_comes_back_as_it_was(backup: Backup, roots: Roots, tmp_path: Path) -> None:
    before = facts(roots.dataset)
    restoration = restore_backup(backup.manifest_file, tmp_path / "new" / "place")
    assert facts(tmp_path / "new" / "place") == before
    assert restoration.restored.files == len(NAMES)
    assert restoration.restored.bytes == backup.total_bytes
    assert kept(restoration) == {}


def test_only_what_is_asked_for(backup: Backup, tmp_path: Path) -> None:
    restoration = restore_backup(backup.manifest_file, tmp_path / "to", only=["deep/er", "a"])
    assert set(facts(tmp_path / "to")) == {"deep/er/b", "a"}
    assert restoration.restored.files == 2


def test_a_path_that_is_not_in_the_backup_is_named_before_anything_is_written(
    backup: Backup, tmp_path: Path
) -> None:
    with pytest.raises(RestoreError, match=f"'deep/e' is not in {backup.backup_id}"):
        restore_backup(backup.manifest_file, tmp_path / "to", only=["a", "deep/e"])
    assert not (tmp_path / "to").exists()


def test_a_deleted_file_comes_back_to_its_place_and_the_others_are_left_alone(
    backup: Backup, roots: Roots
) -> None:
    before = facts(roots.dataset)
    (roots.dataset / "deep/er/b").unlink()
    (roots.dataset / "deep/er").rmdir()
    inode = (roots.dataset / "a").stat().st_ino
    restoration = restore_backup(backup.manifest_file, roots.dataset)
    assert (restoration.restored.files, restoration.restored.there_already) == (1, len(NAMES) - 1)
    assert facts(roots.dataset) == before
    assert (roots.dataset / "a").stat().st_ino == inode


def test_what_differs_is_kept_and_told_unless_it_is_to_be_replaced(
    backup: Backup, roots: Roots
) -> None:
    before = facts(roots.dataset)
    (roots.dataset / "deep/er.c").write_text("newer")
    restoration = restore_backup(backup.manifest_file, roots.dataset)
    assert kept(restoration) == {"deep/er.c": EXISTS}
    assert (roots.dataset / "deep/er.c").read_text() == "newer"
    restoration = restore_backup(backup.manifest_file, roots.dataset, overwrite=True)
    assert (restoration.restored.files, kept(restoration)) == (1, {})
    assert facts(roots.dataset) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_no_link_is_followed_and_no_directory_replaced(
    backup: Backup, tmp_path: Path, *, overwrite: bool
) -> None:
    target, elsewhere = tmp_path / "to", tmp_path / "elsewhere"
    target.mkdir()
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("mine")
    (target / "deep").symlink_to(elsewhere)
    (target / "a").symlink_to(elsewhere / "precious")
    (target / NAMES[-1]).mkdir()
    restoration = restore_backup(backup.manifest_file, target, overwrite=overwrite)
    assert facts(elsewhere) == {"precious": facts(elsewhere)["precious"]}
    assert (elsewhere / "precious").read_text() == "mine"
    told = {
        "deep/er/b": IN_THE_WAY,
        "deep/er.c": IN_THE_WAY,
        NAMES[-1]: A_DIRECTORY if overwrite else EXISTS,
    }
    assert kept(restoration) == (told if overwrite else {**told, "a": EXISTS})
    assert (target / "a").is_symlink() is not overwrite


def test_a_backup_that_does_not_verify_is_refused_and_nothing_written(
    backup: Backup, tmp_path: Path
) -> None:
    archive = backup.directory / backup.archive_name
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    with pytest.raises(VerificationError):
        restore_backup(backup.manifest_file, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_nothing_is_restored_among_the_backups(backup: Backup, roots: Roots) -> None:
    for target in (roots.backup, roots.backup / "deep", backup.directory):
        with pytest.raises(RestoreError, match="inside the backup root"):
            restore_backup(backup.manifest_file, target)


def test_a_target_that_is_a_file_is_refused(backup: Backup, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RestoreError, match="cannot be made"):
        restore_backup(backup.manifest_file, tmp_path / "file" / "deep")


def hostile_backup(directory: Path, path: str) -> Path:
    """Make a backup that verifies, of one file with such a path; return its manifest's."""
    directory.mkdir(parents=True)
    content = b"evil"
    archive = ArchiveWriter(directory / "evil.tar.gz")
    times = (0.0, 0.0, 0.0, 0, 0, 0)
    status = os.stat_result((0o600, 1, 1, 1, 0, 0, len(content), 0, 0, 0, *times))
    archive._tar.add(path, status, [content])  # noqa: SLF001 our own never writes such
    stored = archive.finish()
    now = datetime.now(UTC)
    header = Header(
        backup_id=directory.name,
        created_at=now,
        source_root="/data",
        strategy=Strategy.ARCHIVE,
        purpose=Purpose.SNAPSHOT,
    )
    manifest = ManifestWriter(directory / "manifest.jsonl", header)
    found = FoundFile(path, len(content), 0, 1)
    manifest.add(BackedUpFile(found, hashlib.sha256(content).hexdigest()))
    manifest.finish(stored, finished_at=now)
    return directory / "manifest.jsonl"


@pytest.mark.parametrize("path", ["../evil", "/tmp/evil", "a/../../evil", "a/./b", ".."])  # noqa: S108 not written
def test_a_path_that_leads_out_of_the_target_is_told_and_not_followed(
    path: str, tmp_path: Path
) -> None:
    manifest = hostile_backup(tmp_path / "backups" / "evil", path)
    target = tmp_path / "outer" / "to"
    restoration = restore_backup(manifest, target)
    assert list(kept(restoration)) == [path]
    assert [*(tmp_path / "outer").rglob("*")] == [target]


def test_a_full_disk_leaves_whole_files_only_and_says_what_to_do(
    backup: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RestoreError, match=r"No space left on device.*restore again"):
        restore_backup(backup.manifest_file, tmp_path / "to")
    monkeypatch.undo()
    written = facts(tmp_path / "to")
    assert not [path for path in written if ".restoring-" in path]
    restore_backup(backup.manifest_file, tmp_path / "to")
    assert facts(tmp_path / "to").items() > written.items()


def test_the_command_restores_by_id_and_notes_the_verification(
    backup: Backup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup.verified_at = datetime(2020, 1, 1, tzinfo=UTC)
    backup.save()
    call_command("restore_backup", backup.backup_id, "--to", str(tmp_path / "to"), "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["restored_files"], told["kept"]) == (len(NAMES), [])
    backup.refresh_from_db()
    assert backup.verified_at > datetime(2026, 1, 1, tzinfo=UTC)


def test_the_command_takes_a_name_as_it_shows_it(
    backup: Backup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "to"
    call_command("restore_backup", str(backup.directory), "--to", str(to), "--only", "wild\\udcff")
    assert "1 files, 4000 bytes restored" in capsys.readouterr().out
    (to / "wild\udcff").write_text("changed")
    with pytest.raises(CommandError, match="1 files were kept"):
        call_command(
            "restore_backup", str(backup.directory), "--to", str(to), "--only", "wild\\udcff"
        )
    assert "kept wild\\udcff: is there and differs: --overwrite" in capsys.readouterr().out


def test_a_drill_proves_the_backup_and_leaves_nothing_behind(
    backup: Backup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    call_command("drill_backup", backup.backup_id, "--scratch", str(scratch))
    assert f"{backup.backup_id} came back whole in" in capsys.readouterr().out
    backup.refresh_from_db()
    assert backup.drilled_at is not None
    assert backup.drill_seconds is not None
    assert 0 < backup.drill_seconds < 60
    assert [*scratch.iterdir()] == []


def test_what_a_killed_drill_left_is_removed_by_the_next(backup: Backup, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    left, others, at_work = (
        scratch / name for name in (".ops-drill-left", "drill-x", ".ops-drill-y")
    )
    for directory in (left, others, at_work):
        directory.mkdir(parents=True)
        (directory / "a").touch()
    with reading(at_work):
        drill(backup.manifest_file, scratch)
    assert sorted(entry.name for entry in scratch.iterdir()) == [".ops-drill-y", "drill-x"]


def test_what_cannot_be_read_in_the_backup_is_told_as_that(
    backup: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunks(_: TarReader) -> Iterator[bytes]:
        raise OSError(errno.EIO, "Input/output error")
        yield b""

    verified = verify_backup(backup.manifest_file)
    monkeypatch.setattr("maintenance.restore.verify_backup", lambda *_, **__: verified)
    monkeypatch.setattr(TarReader, "chunks", chunks)
    with pytest.raises(BackupUnreadableError, match="'a' cannot be read in the backup: Input/out"):
        restore_named(backup.backup_id, tmp_path / "back", now=datetime.now(UTC))
    backup.refresh_from_db()
    assert backup.state == "verified"


def test_a_drill_of_what_does_not_come_back_fails_and_is_noted(
    backup: Backup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (backup.directory / backup.archive_name).write_bytes(b"")
    with pytest.raises(CommandError):
        call_command("drill_backup", backup.backup_id, "--scratch", str(tmp_path), "--json")
    assert json.loads(capsys.readouterr().out)["restorable"] is False
    backup.refresh_from_db()
    assert (backup.state, backup.drilled_at) == ("failed", None)


def test_the_command_backs_up_what_changed_and_says_so_where_nothing_did(
    roots: Roots, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = ("--dataset-root", str(roots.dataset), "--backup-root", str(roots.backup))
    call_command("backup", *paths, "--json")
    told = json.loads(capsys.readouterr().out)
    assert Backup.objects.get().backup_id == told["backup_id"]
    assert told["files"] == len(NAMES)
    (roots.dataset / "a").write_text("changed")
    call_command("backup", *paths)
    assert f"{Backup.objects.latest('sequence').backup_id}: {len(NAMES)} files" in (
        capsys.readouterr().out
    )


def test_the_command_makes_what_is_asked_for(
    roots: Roots, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = ("--dataset-root", str(roots.dataset), "--backup-root", str(roots.backup))
    call_command("backup", *paths, "--compression", "tar.gz")
    assert Backup.objects.latest("sequence").archive_name.endswith(".tar.gz")
    call_command("backup", *paths, "--strategy", "file")
    tree = Backup.objects.latest("sequence")
    assert (tree.strategy, tree.purpose) == ("file", "snapshot")
    assert f"in a tree that took {tree.total_bytes}, verified" in capsys.readouterr().out
    (roots.dataset / "old-raw").write_text("x")
    os.utime(roots.dataset / "old-raw", (0, 0))
    call_command("maintain", "--path", "dataset", *paths, "--compression", "tar.gz")
    assert Backup.objects.latest("sequence").archive_name.endswith(".tar.gz")


def test_a_dataset_that_is_not_there_is_named(
    roots: Roots, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(roots.dataset / "missing")
    with pytest.raises(CommandError, match="missing"):
        call_command(
            "backup", "--dataset-root", missing, "--backup-root", str(roots.backup), "--json"
        )
    assert json.loads(capsys.readouterr().out)["code"] == "roots_refused"
