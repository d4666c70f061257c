"""The second maintenance path on real files: copy them, then delete what is too old (SPEC E4)."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenance import coordinator
from maintenance.backup import BackupOrder, Source, make_backup
from maintenance.coordinator import run_maintenance
from maintenance.file_report import MaintenanceReport
from maintenance.locks import maintenance_lock
from maintenance.models import Backup
from maintenance.roots import Roots
from maintenance.verify import verify_backup
from retention.errors import PolicyError
from retention.models import Deletion
from retention.policies import FileRetentionPolicy
from tests.backups import put

pytestmark = pytest.mark.django_db
POLICY = FileRetentionPolicy()


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    (tmp_path / "data").mkdir()
    return Roots(dataset=tmp_path / "data", backup=tmp_path / "backups")


def maintain(
    roots: Roots, policy: FileRetentionPolicy = POLICY, globs: list[str] | None = None
) -> MaintenanceReport:
    return run_maintenance(roots.dataset, roots.backup, policy, globs)


def skipped(report: MaintenanceReport) -> dict[str, str]:
    return {item.path: item.reason for item in report.cleanup.skipped}


def test_everything_is_copied_and_what_is_too_old_is_deleted(roots: Roots) -> None:
    old = put(roots, "logs/old.log", b"old", days_old=8)
    new = put(roots, "logs/new.log", b"new", days_old=6)

    report = maintain(roots)

    assert report.backup.success
    assert [(one.path, one.reason) for one in report.candidates] == [
        ("logs/old.log", "older than 7 days")
    ]
    assert (list(report.cleanup.deleted), skipped(report)) == (["logs/old.log"], {})
    assert report.cleanup.success
    assert not report.failure
    assert not old.exists()
    assert new.exists()
    manifest = verify_backup(Path(report.backup.manifest_path or ""))
    assert [file.path for file in manifest.files()] == ["logs/new.log", "logs/old.log"]
    backup = Backup.objects.get()
    assert (backup.state, backup.strategy, backup.purpose) == ("verified", "file", "expired")
    record = Deletion.objects.get()
    assert (record.path, record.backup_id) == ("logs/old.log", backup.backup_id)


def test_where_nothing_is_too_old_the_backup_is_one_of_several(roots: Roots) -> None:
    put(roots, "a")
    report = maintain(roots)
    assert (report.candidates, report.cleanup.success) == ([], True)
    assert Backup.objects.get().purpose == "snapshot"


def test_what_the_globs_leave_out_of_the_backup_stays(roots: Roots) -> None:
    put(roots, "a.log", days_old=9)
    kept = put(roots, "deep/b.tmp", days_old=9)

    report = maintain(roots, globs=["*.log"])

    assert skipped(report) == {"deep/b.tmp": "not_in_backup"}
    assert list(report.cleanup.deleted) == ["a.log"]
    assert kept.exists()
    manifest = verify_backup(Path(report.backup.manifest_path or ""))
    assert [file.path for file in manifest.files()] == ["a.log"]


def test_what_is_too_old_and_not_backed_up_makes_no_only_copy(roots: Roots) -> None:
    old = put(roots, "other/old", days_old=9)
    put(roots, "logs/new")
    assert skipped(maintain(roots, globs=["logs/**"])) == {"other/old": "not_in_backup"}
    assert old.exists()
    backup = Backup.objects.get()
    assert (backup.purpose, backup.is_partial) == ("snapshot", True)


def test_what_cannot_be_deleted_keeps_one_tree_and_not_one_a_run(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = put(roots, "logs/old", days_old=9)
    with monkeypatch.context() as patch:
        patch.setattr("retention.cleaner.delete_unchanged", lambda *_: "not deletable: stuck")
        for _ in range(3):
            assert skipped(maintain(roots)) == {"logs/old": "not deletable: stuck"}
    assert [row.purpose for row in Backup.objects.order_by("sequence")] == [
        "expired",
        "snapshot",
        "snapshot",
    ]
    assert not skipped(maintain(roots))
    assert not old.exists()
    assert (
        Deletion.objects.get(path="logs/old").backup_id == Backup.objects.get(sequence=1).backup_id
    )


def test_the_policy_names_what_may_go(roots: Roots) -> None:
    put(roots, "a/old.log", days_old=9)
    put(roots, "a/old.txt", days_old=9)
    put(roots, "keep/old.log", days_old=9)
    policy = FileRetentionPolicy(include_globs=("*.log",), exclude_globs=("keep/**",))
    assert [one.path for one in maintain(roots, policy).candidates] == ["a/old.log"]


def test_a_failed_backup_deletes_nothing_and_the_candidates_are_told(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = put(roots, "old", days_old=8)
    monkeypatch.setattr("maintenance.tree.os.fsync", _full)

    report = maintain(roots)

    assert not report.backup.success
    assert "No space left" in report.backup.error
    assert report.backup.manifest_path is None
    assert skipped(report) == {"old": "backup_failed"}
    assert not report.cleanup.success
    assert "nothing was deleted" in report.failure
    assert old.exists()


def _full(handle: int) -> None:
    del handle
    raise OSError(28, "No space left on device")


def test_one_that_cannot_be_deleted_does_not_stop_the_rest(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        put(roots, name, days_old=8)
    real = os.unlink

    def refuse_one(path: str, *, dir_fd: int | None = None) -> None:
        if not refused:
            refused.append(path)
            raise PermissionError(1, "Operation not permitted")
        real(path, dir_fd=dir_fd)

    refused: list[str] = []
    monkeypatch.setattr("retention.removal.os.unlink", refuse_one)
    report = maintain(roots)
    assert skipped(report) == {"a": "not deletable: Operation not permitted"}
    assert list(report.cleanup.deleted) == ["b", "c"]
    assert report.cleanup.success


def test_a_linked_copy_is_read_again_before_its_file_goes(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was damaged since it was copied is not what the live file may be deleted for."""
    monkeypatch.setattr("maintenance.vouching.CLOCK_TICK", timedelta(days=-1))
    live = [put(roots, name, days_old=6) for name in ("a", "b", "c")]
    maintain(roots)
    first = Backup.objects.get()
    copy = first.directory / "files" / "b"
    copy.chmod(0o600)
    copy.write_bytes(b"y")
    before = copy.stat()
    now = datetime.now(UTC) + timedelta(days=2)

    report = run_maintenance(roots.dataset, roots.backup, POLICY, now=now)

    second = Backup.objects.exclude(pk=first.pk).get()
    assert (second.directory / "files" / "b").stat().st_ino == before.st_ino
    assert "the copy of 'b' is not what was copied" in report.cleanup.error
    assert set(skipped(report)) == {"a", "b", "c"}
    assert all(file.exists() for file in live)
    states = dict(Backup.objects.values_list("pk", "state"))
    assert states == {first.pk: "suspect", second.pk: "failed"}


def test_a_file_that_came_to_be_too_old_while_the_backup_was_made_stays(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(roots, "new")

    def and_then_came(source: Source, order: BackupOrder) -> Backup:
        put(roots, "moved-here", days_old=30)
        return make_backup(source, order)

    monkeypatch.setattr(coordinator, "make_backup", and_then_came)
    report = maintain(roots)
    assert skipped(report) == {"moved-here": coordinator.CAME_LATER}
    monkeypatch.undo()
    assert list(maintain(roots).cleanup.deleted) == ["moved-here"]


def test_a_busy_root_and_a_missing_one_are_told(roots: Roots, tmp_path: Path) -> None:
    put(roots, "old", days_old=8)
    roots.backup.mkdir()
    with maintenance_lock(roots):
        busy = maintain(roots)
    assert "is being maintained by another process" in busy.backup.error
    assert skipped(busy) == {"old": "backup_failed"}
    report = run_maintenance(tmp_path / "nowhere", roots.backup, POLICY)
    assert "is not a directory: create it or mount it" in report.backup.error
    assert report.candidates == []


def test_globs_that_are_none_are_refused(roots: Roots) -> None:
    for pattern in ("", "/etc/*", "a/../b"):
        with pytest.raises(PolicyError, match="glob"):
            maintain(roots, globs=[pattern])
        with pytest.raises(PolicyError, match="glob"):
            FileRetentionPolicy(include_globs=(pattern,))


def test_the_report_is_plain_json(roots: Roots) -> None:
    put(roots, os.fsdecode(b"old\xff"), days_old=8)
    plain = maintain(roots).plain()
    assert plain["cleanup"]["deleted"] == ["old\\udcff"]
    assert plain["candidates"] == [{"path": "old\\udcff", "reason": "older than 7 days"}]
    assert plain["backup"]["success"] is True
