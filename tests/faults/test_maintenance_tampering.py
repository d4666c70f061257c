"""Whatever changes between backup and deletion, nothing goes that the backup does not hold."""

import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connections

from maintenance.backup import BackupOrder, ChosenFiles, make_backup
from maintenance.errors import MaintenanceFailedError
from maintenance.layout import MANIFEST_NAME, backup_names, publish
from maintenance.models import Backup
from maintenance.outcome import MaintenanceResult
from maintenance.roots import Roots
from maintenance.runner import TRIED_LATER, run_maintenance_automation
from maintenance.standing import back_up_and_maintain
from maintenance.verify import verify_backup
from retention.files import BackedUpFile
from retention.journal import Warrant, plan_deletions
from retention.models import Deletion
from retention.policies import DataRetentionPolicy
from retention.removal import delete_unchanged
from tests.servers import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
OLD = (datetime.now(UTC) - timedelta(days=8)).timestamp()


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    roots = Roots(dataset=tmp_path / "data", backup=tmp_path / "backups")
    for name in ("a", "b"):
        _put(roots.dataset / "raw" / name, b"content of " + name.encode())
    return roots


def _put(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, (OLD, OLD))


def _names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def _run(roots: Roots) -> MaintenanceResult:
    return run_maintenance_automation(roots.dataset, roots.backup, DataRetentionPolicy())


def _after_publishing(monkeypatch: pytest.MonkeyPatch, tamper: Callable[[Path], object]) -> None:
    """Let the real backup be published, and tamper before it is verified."""

    def tampered(partial: Path, backup_id: str) -> Path:
        directory = publish(partial, backup_id)
        tamper(directory)
        return directory

    monkeypatch.setattr("maintenance.backup.publish", tampered)


def _before_deleting(monkeypatch: pytest.MonkeyPatch, tamper: Callable[[], object]) -> None:
    """Tamper with the live files when the backup is verified and the deletions are planned."""

    def tampered(files: list[BackedUpFile], *, root: Path, warrant: Warrant) -> list[Deletion]:
        tamper()
        return plan_deletions(files, root=root, warrant=warrant)

    monkeypatch.setattr("retention.cleaner.plan_deletions", tampered)


def _drop_last_byte(directory: Path) -> None:
    (archive,) = directory.glob("*.tar.zst")
    os.truncate(archive, archive.stat().st_size - 1)


def _edit_manifest(directory: Path) -> None:
    manifest = directory / MANIFEST_NAME
    manifest.write_bytes(manifest.read_bytes().replace(b"raw/a", b"raw/c"))


def _remove_archive(directory: Path) -> None:
    next(directory.glob("*.tar.zst")).unlink()


@pytest.mark.parametrize("tamper", [_drop_last_byte, _edit_manifest, _remove_archive])
def test_a_tampered_backup_deletes_nothing(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, tamper: Callable[[Path], object]
) -> None:
    _after_publishing(monkeypatch, tamper)

    result = _run(roots)

    assert result["status"] == "backup_failed"
    assert "could not be read back" in result["error"]
    assert result["deletion"] == {"executed": False, "deleted_files": 0, "kept": []}
    assert _names(roots.dataset / "raw") == ["a", "b"]
    assert list(backup_names(roots.backup)) == []
    assert not Backup.objects.exists()


def _overwrite(file: Path) -> None:
    file.write_bytes(b"CONTENT OF a")
    os.utime(file, (OLD, OLD))


def _replace(file: Path) -> None:
    fresh = file.with_name("fresh")
    _put(fresh, b"content of a")
    fresh.replace(file)


def _link(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("b"))


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda file: file.write_bytes(b"longer than it was"), "changed since the backup"),
        (_overwrite, "changed since the backup"),
        (_replace, "changed since the backup"),
        (os.unlink, "vanished"),
        (_link, "replaced by something that is not the file backed up"),
        (_pipe, "replaced by something that is not the file backed up"),
        (_directory, "replaced by something that is not the file backed up"),
    ],
)
def test_a_file_that_is_not_what_was_backed_up_is_kept_and_the_rest_goes(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, tamper: Callable[[Path], object], reason: str
) -> None:
    file = roots.dataset / "raw" / "a"
    _before_deleting(monkeypatch, lambda: tamper(file))

    result = _run(roots)

    assert result["status"] == "completed"
    assert result["deletion"]["deleted_files"] == 1
    assert result["deletion"]["kept"] == [{"path": "raw/a", "reason": reason}]
    assert os.path.lexists(file) is (reason != "vanished")
    assert [record.path for record in Deletion.objects.all()] == ["raw/b"]


def test_a_directory_swapped_for_a_link_leads_nowhere(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = roots.dataset.parent / "outside"

    def swap() -> None:
        (roots.dataset / "raw").rename(outside)
        (roots.dataset / "raw").symlink_to(outside, target_is_directory=True)

    _before_deleting(monkeypatch, swap)

    result = _run(roots)

    assert result["deletion"]["deleted_files"] == 0
    assert _names(outside) == ["a", "b"]


def test_a_file_renamed_over_while_it_is_hashed_is_kept(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, real_stat = roots.dataset / "raw" / "a", os.stat

    def stat_after_rename(path: Any, **options: Any) -> os.stat_result:
        if path == "a" and "dir_fd" in options:
            fresh = file.with_name("fresh")
            fresh.write_bytes(b"brand new")
            fresh.replace(file)
        return real_stat(path, **options)

    monkeypatch.setattr(os, "stat", stat_after_rename)

    result = _run(roots)

    assert file.read_bytes() == b"brand new"
    assert result["deletion"]["kept"] == [{"path": "raw/a", "reason": "changed since the backup"}]


def _at_the_last_moment(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Act right before the name `a` is first renamed or unlinked, when all checks have passed."""
    acted = False

    def after_acting(real: Callable[..., None]) -> Callable[..., None]:
        def call(name: Any, *more: Any, **options: Any) -> None:
            nonlocal acted
            if name == "a" and not acted:
                acted = True
                act()
            real(name, *more, **options)

        return call

    monkeypatch.setattr(os, "rename", after_acting(os.rename))
    monkeypatch.setattr(os, "unlink", after_acting(os.unlink))


@pytest.mark.parametrize("swap", [_replace, _link, _pipe, _directory])
def test_whatever_takes_the_name_at_the_last_moment_stays_there(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], object]
) -> None:
    file, seen = roots.dataset / "raw" / "a", []

    def swapped() -> None:
        swap(file)
        seen.append(file.lstat().st_ino)

    _at_the_last_moment(monkeypatch, swapped)

    result = _run(roots)

    assert [file.lstat().st_ino] == seen
    assert result["deletion"]["kept"] == [{"path": "raw/a", "reason": "changed since the backup"}]
    assert [record.path for record in Deletion.objects.all()] == ["raw/b"]
    assert _names(file.parent) == ["a"]


def test_what_cannot_be_deleted_makes_no_backup_at_every_run(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*, hours: int) -> MaintenanceResult:
        now = datetime.now(UTC) + timedelta(hours=hours)
        return run_maintenance_automation(
            roots.dataset, roots.backup, DataRetentionPolicy(), now=now
        )

    with monkeypatch.context() as patch:
        patch.setattr("retention.cleaner.delete_unchanged", lambda *_: "not deletable: stuck")
        first, soon, later = run(hours=0), run(hours=0), run(hours=2)
    (only,) = Backup.objects.all()
    reasons = [{item["reason"] for item in one["deletion"]["kept"]} for one in (first, soon, later)]
    assert reasons == [{"not deletable: stuck"}, {TRIED_LATER}, {"not deletable: stuck"}]
    assert soon["backup"] == first["backup"]
    assert later["backup"] == first["backup"]
    (roots.dataset / "raw" / "a").write_bytes(b"CONTENT OF A")
    os.utime(roots.dataset / "raw" / "a", (OLD, OLD))
    assert run(hours=4)["deletion"]["deleted_files"] == 2
    assert Backup.objects.count() == 2
    only.refresh_from_db()
    assert only.is_intact


def test_a_backup_that_goes_meanwhile_ends_the_cleanup(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maintenance.runner.LOOKED_AT_EVERY", 1)
    monkeypatch.setattr("retention.cleaner.BATCH", 1)

    def then_lost(root: int, file: BackedUpFile) -> str:
        said = delete_unchanged(root, file)
        _remove_archive(Backup.objects.get().directory)
        return said

    monkeypatch.setattr("retention.cleaner.delete_unchanged", then_lost)
    result = _run(roots)
    assert "went while files were deleted" in result.get("error", "")
    assert _names(roots.dataset / "raw") == ["b"]


def test_who_has_a_file_open_for_writing_keeps_it(roots: Roots) -> None:
    file = roots.dataset / "raw" / "a"
    with file.open("r+b"):
        result = _run(roots)
    assert result["deletion"]["deleted_files"] == 1
    assert result["deletion"]["kept"] == [
        {"path": "raw/a", "reason": "somebody has it open for writing"}
    ]
    assert file.read_bytes() == b"content of a"


def test_who_wants_to_write_while_it_is_deleted_gets_no_lost_bytes(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process opens the file in place between the last look and the unlink: it waits."""
    file = roots.dataset / "raw" / "a"
    writers: list[subprocess.Popen[bytes]] = []
    opens = "import sys; open(sys.argv[1], 'r+b').write(b'news'); print('written')"

    def somebody_opens() -> None:
        writers.append(
            subprocess.Popen([sys.executable, "-c", opens, file], stdout=subprocess.PIPE)
        )
        wait_for(lambda: _waits_for_a_lease(file), seconds=10, what="a writer waits")

    _at_the_last_moment(monkeypatch, somebody_opens)
    result = _run(roots)
    (writer,) = writers
    assert writer.communicate()[0] == b"written\n"
    assert result["deletion"]["kept"] == [{"path": "raw/a", "reason": "changed since the backup"}]
    assert file.read_bytes() == b"newsent of a"


def _waits_for_a_lease(file: Path) -> bool:
    inode = f":{file.stat().st_ino} "
    lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    return any("LEASE" in line and "BREAKING" in line and inode in line for line in lines)


@pytest.mark.parametrize("change", ["in place", "none"])
def test_without_leases_the_bytes_are_read_once_more(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The file is rewritten in place and its mtime set back, right before it is set aside."""
    file = roots.dataset / "raw" / "a"

    def rewritten() -> None:
        if change == "in place":
            _put(file, b"CONTENT OF A")

    monkeypatch.setattr("retention.removal._keep_writers_out", lambda _: False)
    _at_the_last_moment(monkeypatch, rewritten)
    result = _run(roots)
    assert file.exists() == (change == "in place")
    assert len(result["deletion"]["kept"]) == (change == "in place")


def test_a_name_that_is_taken_twice_costs_neither_file(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = roots.dataset / "raw" / "a"
    real_link = os.link

    def link_after_a_write(*names: Any, **options: Any) -> None:
        file.write_bytes(b"second")
        real_link(*names, **options)

    def put_over() -> None:  # to write into the file itself would wait for us
        fresh = file.with_name("fresh")
        _put(fresh, b"first")
        fresh.replace(file)

    _at_the_last_moment(monkeypatch, put_over)
    monkeypatch.setattr(os, "link", link_after_a_write)

    _run(roots)

    aside, name = _names(file.parent)
    assert (name, file.read_bytes()) == ("a", b"second")
    assert (file.parent / aside).read_bytes() == b"first"


def test_an_archive_that_went_after_it_was_verified_deletes_nothing(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(source: ChosenFiles, order: BackupOrder) -> Backup:
        backup = make_backup(source, order)
        _remove_archive(backup.directory)
        return backup

    monkeypatch.setattr("maintenance.runner.make_backup", lost)

    result = _run(roots)

    assert result["status"] == "backup_failed"
    assert "changed after it was verified" in result["error"]
    assert _names(roots.dataset / "raw") == ["a", "b"]


def test_a_file_rewritten_between_scan_and_backup_is_young_again(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = roots.dataset / "raw" / "a"

    def after_a_write(source: ChosenFiles, order: BackupOrder) -> Backup:
        file.write_bytes(b"new data")
        (roots.dataset / "raw" / "b").unlink()
        return make_backup(source, order)

    monkeypatch.setattr("maintenance.runner.make_backup", after_a_write)

    result = _run(roots)

    assert file.read_bytes() == b"new data"
    assert result["deletion"]["kept"] == [
        {"path": "raw/a", "reason": "no longer expired"},
        {"path": "raw/b", "reason": "not in the backup"},
    ]


def test_what_cannot_be_recorded_is_not_deleted(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise DatabaseError("database or disk is full")

    _before_deleting(monkeypatch, full)

    result = _run(roots)

    assert result["deletion"]["deleted_files"] == 0
    assert {item["reason"] for item in result["deletion"]["kept"]} == {
        "the deletion could not be recorded"
    }
    assert _names(roots.dataset / "raw") == ["a", "b"]


def _in_child(work: Callable[[], bool]) -> bool:
    """Return what `work` returns in a forked process, whose limits and user end with it."""
    connections.close_all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads
        child = os.fork()
    if child == 0:
        good = False
        try:
            Deletion.objects.exists()  # opens the database before the limits fall
            good = work()
        finally:
            os._exit(0 if good else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _open_up(roots: Roots) -> None:
    """Let any user write the backup root and `raw`, and pass through pytest's directories."""
    roots.backup.mkdir()
    for path in (roots.dataset / "raw", roots.backup):
        path.chmod(0o777)
    for path in roots.dataset.parents:
        if "pytest" in str(path):
            path.chmod(path.stat().st_mode | 0o011)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user without rights")
def test_one_failed_unlink_does_not_stop_the_rest(roots: Roots) -> None:
    locked = roots.dataset / "raw" / "locked"
    _put(locked / "c", b"stays")
    _open_up(roots)

    def unprivileged() -> bool:
        os.setuid(65_534)
        deletion = _run(roots)["deletion"]
        return deletion["deleted_files"] == 2 and deletion["kept"] == [
            {"path": "raw/locked/c", "reason": "not deletable: Permission denied"}
        ]

    assert _in_child(unprivileged)
    assert (locked / "c").read_bytes() == b"stays"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user without rights")
def test_an_unreadable_file_fails_the_backup_and_deletes_nothing(roots: Roots) -> None:
    (roots.dataset / "raw" / "a").chmod(0)
    _open_up(roots)

    def unprivileged() -> bool:
        os.setuid(65_534)
        result = _run(roots)
        return "'raw/a' cannot be read: Permission denied" in result.get("error", "")

    assert _in_child(unprivileged)
    assert _names(roots.dataset / "raw") == ["a", "b"]
    assert list(backup_names(roots.backup)) == []


@pytest.mark.parametrize("limit_bytes", [0, 1, 100, 400, 600, 5_000, 20_000, 40_000])
def test_a_write_that_fails_anywhere_deletes_nothing(roots: Roots, limit_bytes: int) -> None:
    _put(roots.dataset / "raw" / "big", os.urandom(50_000))

    def limited() -> bool:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        result = _run(roots)
        return result["status"] == "backup_failed" and "did not take the backup" in result["error"]

    assert _in_child(limited)
    assert _names(roots.dataset / "raw") == ["a", "b", "big"]
    assert _names(roots.backup) == [".maintenance.lock"]


def test_a_database_that_is_gone_is_a_result_and_deletes_nothing(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(root: Path, *, at: datetime) -> list[str]:
        raise OperationalError(f"no database for {root} at {at}")

    monkeypatch.setattr("maintenance.runner.settle_deletions", gone)

    result = _run(roots)

    assert result["status"] == "backup_failed"
    assert "the database failed: no database" in result["error"]
    assert _names(roots.dataset / "raw") == ["a", "b"]


def test_a_cleanup_that_breaks_off_reports_what_it_deleted(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        _put(roots.dataset / "raw" / f"{number}", b"x")
    monkeypatch.setattr("retention.cleaner.BATCH", 1)

    def cut_manifest() -> None:
        os.truncate(Backup.objects.get().manifest_file, 12_345)

    _before_deleting(monkeypatch, cut_manifest)

    result = _run(roots)

    left = len(_names(roots.dataset / "raw"))
    assert result["status"] == "backup_failed"
    assert "is no JSON" in result["error"]
    assert 0 < left < 202
    assert result["deletion"]["deleted_files"] == 202 - left
    assert Deletion.objects.filter(deleted_at__isnull=False).count() == 202 - left


@pytest.mark.parametrize("breaks_off", [True, False])
def test_a_failed_run_says_what_was_deleted_before_it_failed(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, settings: Any, *, breaks_off: bool
) -> None:
    for number in range(200):
        _put(roots.dataset / "raw" / f"{number}", b"x")
    settings.DATASET_ROOT, settings.BACKUP_ROOT = roots.dataset, roots.backup
    monkeypatch.setattr("retention.cleaner.BATCH", 1)
    if breaks_off:
        _before_deleting(
            monkeypatch, lambda: os.truncate(Backup.objects.get().manifest_file, 12_345)
        )
    else:
        _after_publishing(monkeypatch, _drop_last_byte)

    with pytest.raises(CommandError) as told:
        call_command("maintain", "--path", "dataset", stdout=StringIO())

    deleted = 202 - len(_names(roots.dataset / "raw"))
    if breaks_off:
        backup = Backup.objects.get()
        words = f"{deleted} files were deleted, which {backup.archive_name} holds: "
    else:
        words = "nothing was deleted: the new backup could not be read back"
    assert (deleted > 0) is breaks_off
    assert str(told.value).startswith(words)


def test_the_job_says_what_was_deleted_before_it_failed(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    for number in range(200):
        _put(roots.dataset / "raw" / f"{number}", b"x")
    settings.DATASET_ROOT, settings.BACKUP_ROOT = roots.dataset, roots.backup
    monkeypatch.setattr("retention.cleaner.BATCH", 1)
    _before_deleting(
        monkeypatch,
        lambda: os.truncate(Backup.objects.get(purpose="expired").manifest_file, 12_345),
    )

    with pytest.raises(MaintenanceFailedError, match=r"^\d+ files were deleted, which .* holds: "):
        back_up_and_maintain()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A backup root on a file system of its own, 256 KiB in size."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_at_any_point_loses_nothing(roots: Roots, small_disk: Path) -> None:
    on_disk = Roots(dataset=roots.dataset, backup=small_disk / "backups")
    failed = 0
    for free_kib in range(0, 128, 4):
        _put(roots.dataset / "raw" / "big", os.urandom(60_000))
        _put(roots.dataset / "raw" / "a", b"content of a")
        _fill_up(small_disk, free_bytes=free_kib * 1024)

        result = _run(on_disk)

        live = {file.name for file in (roots.dataset / "raw").iterdir()}
        if result["status"] == "backup_failed":
            failed += 1
            assert {"big", "a"} <= live
        else:
            (name,) = backup_names(on_disk.backup)
            verify_backup(on_disk.backup / name / MANIFEST_NAME)
            assert live == set()
            _clear(on_disk.backup / name)
        (small_disk / "filler").unlink()
    assert 10 < failed < 32


def _fill_up(disk: Path, *, free_bytes: int) -> None:
    available = os.statvfs(disk)
    filler = max(0, available.f_bavail * available.f_frsize - free_bytes)
    with (disk / "filler").open("wb") as file:
        if filler:
            os.posix_fallocate(file.fileno(), 0, filler)


def _clear(directory: Path) -> None:
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()
