"""The standing job: a verified copy of the whole dataset, bounded, then the retention run."""

import errno
import json
import os
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction

from maintenance import tasks, vouching
from maintenance.coordinator import run_maintenance
from maintenance.errors import (
    BackupNotFoundError,
    MaintenanceFailedError,
    RootBusyError,
    RootsError,
)
from maintenance.layout import discard
from maintenance.locks import unless_read
from maintenance.manifest import Manifest
from maintenance.models import Backup, BackupHold, BackupKeeping
from maintenance.pruning import LET_GO, prune_backups
from maintenance.records import recheck_backup, restore_named
from maintenance.rescan import rescan
from maintenance.roots import Roots
from maintenance.runner import run_maintenance_automation
from maintenance.snapshot import SNAPSHOT_EVERY, NoSnapshot
from maintenance.standing import back_up_and_maintain
from maintenance.verify import verify_backup
from retention.errors import PolicyError
from retention.files import BackedUpFile, FoundFile
from retention.journal import Warrant, plan_deletions, settle_deletions
from retention.keeping import ONLY_COPY, KeepingPolicy
from retention.models import Deletion, FileRetention, RetentionPolicy
from retention.policies import DataRetentionPolicy, FileRetentionPolicy

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


@pytest.fixture
def roots(tmp_path: Path, settings: Any) -> Roots:
    settings.DATASET_ROOT, settings.BACKUP_ROOT = tmp_path / "data", tmp_path / "backups"
    return Roots(dataset=settings.DATASET_ROOT, backup=settings.BACKUP_ROOT)


def _put(root: Path, path: str, *, days_old: float = 1) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(path)
    modified = (NOW - timedelta(days=days_old)).timestamp()
    os.utime(file, (modified, modified))
    return file


def _maintain_when_due() -> dict[str, Any]:
    """Run the job as if the last snapshot were old enough for another."""
    return back_up_and_maintain(snapshot_every=timedelta(0))


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written just before a backup count as still."""
    monkeypatch.setattr(vouching, "CLOCK_TICK", timedelta(0))


@pytest.mark.usefixtures("still")
def test_a_dataset_is_copied_once_until_it_changes(roots: Roots) -> None:
    changing = _put(roots.dataset, "raw/a")
    first, second = _maintain_when_due(), _maintain_when_due()
    stamp = changing.stat()
    changing.write_text("RAW/A")  # as long as before
    os.utime(changing, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # only its ctime tells

    third = _maintain_when_due()

    assert first["snapshot"]
    assert second["snapshot"] is None
    assert second["no_snapshot_because"] == NoSnapshot.UNCHANGED
    assert third["snapshot"] not in {None, first["snapshot"]}
    assert json.dumps(third)


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "replaced"])
def test_any_change_makes_a_new_copy(roots: Roots, change: str) -> None:
    kept, other = _put(roots.dataset, "raw/a"), _put(roots.dataset, "raw/b")
    _maintain_when_due()
    match change:
        case "added":
            _put(roots.dataset, "raw/c")
        case "removed":
            other.unlink()
        case "renamed":
            other.rename(other.with_name("c"))
        case "replaced":
            stamp = kept.stat()
            fresh = _put(roots.dataset, "new")
            os.utime(fresh, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
            fresh.replace(kept)

    assert _maintain_when_due()["snapshot"]


def test_a_file_written_at_the_moment_of_the_copy_is_not_trusted(roots: Roots) -> None:
    _put(roots.dataset, "raw/a").write_text("fresh")

    assert _maintain_when_due()["snapshot"]
    assert _maintain_when_due()["snapshot"]


def test_a_lost_or_shortened_copy_is_made_again(roots: Roots) -> None:
    _put(roots.dataset, "raw/a")
    backup = Backup.objects.get(backup_id=_maintain_when_due()["snapshot"])
    (backup.directory / backup.archive_name).write_bytes(b"")

    assert _maintain_when_due()["snapshot"]


def test_a_fresh_installation_waits_for_data_and_a_lost_dataset_is_an_error(roots: Roots) -> None:
    assert back_up_and_maintain()["maintenance"] is None
    _put(roots.dataset, "raw/a")
    back_up_and_maintain()
    roots.dataset.rename(roots.dataset.with_name("unmounted"))

    with pytest.raises(RootsError, match="is gone: mount it"):
        back_up_and_maintain()


def test_a_dataset_that_always_changes_is_copied_once_an_hour_and_cleaned_every_time(
    roots: Roots,
) -> None:
    _put(roots.dataset, "decision/a")
    first = back_up_and_maintain()
    _put(roots.dataset, "decision/b")
    expired = _put(roots.dataset, "raw/old", days_old=9)

    soon = back_up_and_maintain()
    Backup.objects.filter(purpose="snapshot").update(created_at=NOW - SNAPSHOT_EVERY)
    later = back_up_and_maintain()

    assert (soon["snapshot"], soon["no_snapshot_because"]) == (None, NoSnapshot.RECENT)
    assert soon["maintenance"]["deletion"]["deleted_files"] == 1
    assert not expired.exists()
    assert later["snapshot"] not in {None, first["snapshot"]}
    assert later["no_snapshot_because"] == ""


def test_a_snapshot_from_the_future_does_not_hold_the_next_one_back(roots: Roots) -> None:
    _put(roots.dataset, "raw/a")
    back_up_and_maintain()
    Backup.objects.update(created_at=NOW + timedelta(days=400))
    _put(roots.dataset, "raw/b")

    assert back_up_and_maintain()["snapshot"]


def test_a_recent_snapshot_that_was_damaged_is_replaced_at_once(roots: Roots) -> None:
    _put(roots.dataset, "raw/a")
    backup = Backup.objects.get(backup_id=back_up_and_maintain()["snapshot"])
    (backup.directory / backup.archive_name).unlink()

    assert back_up_and_maintain()["snapshot"]


def test_the_enabled_policy_decides(roots: Roots) -> None:
    file = _put(roots.dataset, "raw/a", days_old=3)
    RetentionPolicy.objects.create(name="unused", enabled=False, raw_snapshot_days=1)
    assert back_up_and_maintain()["maintenance"]["status"] == "nothing_to_do"
    RetentionPolicy.objects.create(name="short", raw_snapshot_days=2)

    result = back_up_and_maintain()["maintenance"]

    assert (result["status"], result["deletion"]["deleted_files"]) == ("completed", 1)
    assert not file.exists()


def test_switching_the_only_policy_off_deletes_nothing(roots: Roots) -> None:
    file = _put(roots.dataset, "raw/a", days_old=9_000)
    RetentionPolicy.objects.create(name="off", enabled=False)

    off = back_up_and_maintain()["maintenance"]
    RetentionPolicy.objects.all().delete()
    defaults = back_up_and_maintain()["maintenance"]

    assert off["status"] == "nothing_to_do"
    assert (defaults["status"], file.exists()) == ("completed", False)


def test_a_policy_that_contradicts_itself_stops_the_job(roots: Roots) -> None:
    file = _put(roots.dataset, "raw/a", days_old=300)
    policy = RetentionPolicy.objects.create(name="odd", raw_words="pattern")

    with pytest.raises(ValidationError, match="given twice"):
        policy.full_clean()
    with pytest.raises(PolicyError):
        back_up_and_maintain()
    assert file.exists()


def test_only_one_policy_can_be_enabled() -> None:
    RetentionPolicy.objects.create(name="one")

    with pytest.raises(IntegrityError), transaction.atomic():
        RetentionPolicy.objects.create(name="two")


def test_old_copies_go_and_archives_of_deleted_files_stay(roots: Roots) -> None:
    _put(roots.dataset, "raw/expired", days_old=9)
    back_up_and_maintain()
    for number in range(3):
        _put(roots.dataset, f"raw/{number}")
        _maintain_when_due()
    only_copy = Backup.objects.get(purpose="expired")

    removed = prune_backups(roots, only_last(2), now=NOW)

    present = Backup.objects.exclude(state="removed")
    assert len(removed) == 2
    assert not any(row.directory.exists() for row in removed)
    assert only_copy in present
    assert present.filter(purpose="snapshot").count() == 2
    assert all(row.is_intact for row in present)
    records = Deletion.objects.filter(reason=LET_GO, deleted_at=NOW)
    assert {row.path for row in records} == {row.backup_id for row in removed}


def test_a_row_that_wrongly_says_snapshot_cannot_cost_a_deleted_file(roots: Roots) -> None:
    _put(roots.dataset, "raw/expired", days_old=9)
    back_up_and_maintain()
    Backup.objects.update(purpose="snapshot")
    _put(roots.dataset, "raw/new")
    _maintain_when_due()

    prune_backups(roots, only_last(1), now=NOW)

    only_copy = Backup.objects.get(sequence=2)
    assert only_copy.is_intact


def only_last(count: int, **values: Any) -> KeepingPolicy:
    return KeepingPolicy(last=count, daily=0, weekly=0, monthly=0, **values)


def three_copies_and_an_only_copy(roots: Roots) -> None:
    _put(roots.dataset, "raw/expired", days_old=9)
    back_up_and_maintain()
    for number in range(2):
        _put(roots.dataset, f"raw/{number}")
        _maintain_when_due()


def present(purpose: str) -> list[int]:
    rows = Backup.objects.present().filter(purpose=purpose).order_by("sequence")
    return list(rows.values_list("sequence", flat=True))


def test_what_somebody_holds_stays_until_the_hold_runs_out(roots: Roots) -> None:
    three_copies_and_an_only_copy(roots)
    first = Backup.objects.get(sequence=1)
    until = NOW + timedelta(days=1)
    BackupHold.objects.create(backup=first, owner="ada", reason="audit", until=until)
    prune_backups(roots, only_last(1), now=NOW)
    assert present("snapshot") == [1, 4]
    prune_backups(roots, only_last(1), now=until)
    assert present("snapshot") == [4]


def test_what_is_being_read_stays_until_that_is_over(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pruning in the middle of a restoration, and another copy made: neither disturbs it."""
    three_copies_and_an_only_copy(roots)
    first = Backup.objects.get(sequence=1)

    def verified_while_others_work(*args: Any, **named: Any) -> Manifest:
        manifest = verify_backup(*args, **named)
        prune_backups(roots, only_last(1), now=NOW)
        _put(roots.dataset, "raw/meanwhile")
        _maintain_when_due()
        return manifest

    with monkeypatch.context() as patch:
        patch.setattr("maintenance.restore.verify_backup", verified_while_others_work)
        restored = restore_named(first.backup_id, tmp_path / "back", now=NOW)
    assert restored.restored.files == first.file_count
    assert present("snapshot") == [1, 4, 5]
    prune_backups(roots, only_last(1), now=NOW)
    assert present("snapshot") == [5]


def test_what_is_being_removed_is_not_read(roots: Roots) -> None:
    three_copies_and_an_only_copy(roots)
    first = Backup.objects.get(sequence=1)
    with unless_read(first.directory) as free:
        assert free
        with pytest.raises(RootBusyError, match="is being removed by another process"):
            recheck_backup(first.backup_id, now=NOW)
    first.refresh_from_db()
    assert first.state == Backup.State.VERIFIED


def test_a_clock_that_jumps_and_comes_back_costs_no_only_copy(roots: Roots) -> None:
    three_copies_and_an_only_copy(roots)
    made = Backup.objects.get(purpose="expired").created_at
    policy = only_last(1, deleted_copies_days=30)
    for days in (400, 1, 2, 31.5):  # a year ahead, back, and then as it should be
        prune_backups(roots, policy, now=made + timedelta(days=days))
        assert present("expired") == [2]
    prune_backups(roots, policy, now=made + timedelta(days=32.5))
    assert present("expired") == []


def test_a_tree_of_a_part_takes_no_copys_place(roots: Roots) -> None:
    _put(roots.dataset, "raw/a")
    _put(roots.dataset, "logs/a", days_old=1)
    _maintain_when_due()
    for _ in range(3):
        report = run_maintenance(roots.dataset, roots.backup, FileRetentionPolicy(), ["logs/**"])
        assert report.cleanup.success
    prune_backups(roots, only_last(1), now=NOW)
    left = Backup.objects.present().order_by("sequence")
    assert [(row.sequence, row.strategy, row.is_partial) for row in left] == [
        (1, "archive", False),
        (4, "file", True),
    ]


def test_what_lies_on_a_disk_that_is_not_mounted_is_not_let_go(roots: Roots) -> None:
    three_copies_and_an_only_copy(roots)
    unmounted = roots.backup.rename(roots.backup.parent / "unmounted")
    roots.backup.mkdir()
    assert prune_backups(roots, only_last(1), now=NOW) == []
    rescan(roots.backup, now=NOW)
    assert prune_backups(roots, only_last(1), now=NOW) == []
    roots.backup.rmdir()
    unmounted.rename(roots.backup)
    assert rescan(roots.backup, now=NOW).is_well
    assert present("snapshot") == [1, 3, 4]
    assert {row.state for row in Backup.objects.all()} == {"verified"}


def test_a_row_that_points_at_another_backup_removes_nothing(roots: Roots) -> None:
    three_copies_and_an_only_copy(roots)
    first, last = Backup.objects.get(sequence=1), Backup.objects.get(sequence=4)
    Backup.objects.filter(pk=first.pk).update(manifest_path=last.manifest_path)
    prune_backups(roots, only_last(1), now=NOW)
    assert last.directory.exists()
    assert first.directory.exists()


@pytest.mark.parametrize("path", ["../../etc/passwd", "a\\udzzz", "/etc/passwd", ""])
def test_a_row_of_the_journal_that_is_nonsense_stops_nothing(roots: Roots, path: str) -> None:
    _put(roots.dataset, "raw/a", days_old=9)
    Deletion.objects.create(
        root=str(roots.dataset),
        path=path,
        size_bytes=1,
        sha256="0" * 64,
        fingerprint="1:1:1",
        backup_id="x",
        reason="expired",
        planned_at=NOW,
    )
    result = run_maintenance_automation(roots.dataset, roots.backup, DataRetentionPolicy())
    assert result["deletion"]["deleted_files"] == 1


def test_a_disk_that_is_not_mounted_settles_no_deletion(roots: Roots) -> None:
    file = _put(roots.dataset, "raw/a")
    found = FoundFile.from_status("raw/a", file.stat())
    warrant = Warrant(backup_id="x", reason="expired", at=NOW)
    plan_deletions([BackedUpFile(found, "0" * 64)], root=roots.dataset, warrant=warrant)
    mounted = roots.dataset.rename(roots.dataset.parent / "mounted")
    roots.dataset.mkdir()
    assert settle_deletions(roots.dataset, at=NOW) == []
    roots.dataset.rmdir()
    mounted.rename(roots.dataset)
    assert settle_deletions(roots.dataset, at=NOW) == []
    assert not Deletion.objects.exists()


@pytest.mark.parametrize("name", ["/etc", "../x", "", "."])
def test_a_message_restores_by_id_alone(roots: Roots, name: str) -> None:
    three_copies_and_an_only_copy(roots)
    with pytest.raises(BackupNotFoundError, match="is no id of a backup"):
        tasks.restore_backup(name)


@pytest.mark.parametrize("name", ["", ".", "/", "x" * 300, "a\0b"])
def test_what_is_no_name_of_a_backup_is_told(name: str) -> None:
    with pytest.raises(BackupNotFoundError, match="is no backup"):
        recheck_backup(name, now=NOW)


def test_a_hold_that_is_over_is_refused(roots: Roots) -> None:
    three_copies_and_an_only_copy(roots)
    over = datetime.now(UTC) - timedelta(days=1)
    hold = BackupHold(backup=Backup.objects.all()[0], owner="ada", reason="x", until=over)
    with pytest.raises(ValidationError, match="over already"):
        hold.full_clean()


def test_files_of_any_age_are_no_jobs_default(roots: Roots) -> None:
    old = _put(roots.dataset, "decision/a", days_old=300)
    with pytest.raises(MaintenanceFailedError, match="no file retention is enabled"):
        tasks.maintain_files()
    with pytest.raises(CommandError, match="name the directory with --dataset-root"):
        call_command("maintain", "--path", "files", "--backup-root", str(roots.backup))
    assert old.exists()


def test_one_that_cannot_be_removed_does_not_stop_the_rest(
    roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_copies_and_an_only_copy(roots)
    stuck = Backup.objects.get(sequence=3).directory

    def discard_others(directory: Path) -> None:
        if directory == stuck:
            raise PermissionError(errno.EACCES, "Permission denied")
        discard(directory)

    monkeypatch.setattr("maintenance.pruning.discard", discard_others)
    prune_backups(roots, only_last(1), now=NOW)
    assert present("snapshot") == [3, 4]


def test_only_copies_go_when_their_own_days_have_passed(roots: Roots) -> None:
    three_copies_and_an_only_copy(roots)
    made = Backup.objects.get(purpose="expired").created_at
    policy = only_last(1, deleted_copies_days=30)
    prune_backups(roots, policy, now=made + timedelta(days=30))
    assert present("expired") == [2]
    prune_backups(roots, policy, now=made + timedelta(days=31))
    assert present("expired") == [2]
    removed = prune_backups(roots, policy, now=made + timedelta(days=32))
    assert present("expired") == []
    assert not removed[0].directory.exists()


def test_the_job_goes_by_the_policy_of_the_admin(roots: Roots) -> None:
    three_copies_and_an_only_copy(roots)
    keeping = BackupKeeping.objects.create(
        name="few", enabled=False, last=1, daily=0, weekly=0, monthly=0
    )
    back_up_and_maintain()
    assert present("snapshot") == [1, 3, 4]
    BackupKeeping.objects.filter(pk=keeping.pk).update(enabled=True)
    back_up_and_maintain()
    assert present("snapshot") == [4]


def test_a_keeping_policy_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="minimum is 0"):
        BackupKeeping(name="none", minimum=0).full_clean()


def test_the_preview_says_what_goes_and_why_the_rest_stays(roots: Roots) -> None:
    three_copies_and_an_only_copy(roots)
    BackupKeeping.objects.create(name="few", last=1, daily=0, weekly=0, monthly=0)
    where = ["--dataset-root", roots.dataset, "--backup-root", roots.backup]
    told = _call("retention_preview", *where)
    assert [(item["goes"], item["stays_because"]) for item in told["backups"]] == [
        (False, ["minimum", "last"]),
        (True, []),
        (False, [ONLY_COPY]),
        (True, []),
    ]
    out = StringIO()
    call_command("retention_preview", *map(str, where), stdout=out)
    assert out.getvalue().startswith("2 of 4 backups would go, ")
    assert f"stays: {ONLY_COPY}" in out.getvalue()
    assert present("snapshot") == [1, 3, 4]
    BackupKeeping.objects.update(enabled=False)
    out = StringIO()
    call_command("retention_preview", *map(str, where), stdout=out)
    assert out.getvalue().startswith("no keeping policy is enabled: nothing is removed")
    out = StringIO()
    call_command("retention_preview", *map(str, where), "--keeping", "few", stdout=out)
    assert out.getvalue().startswith("2 of 4 backups would go, ")
    with pytest.raises(CommandError, match="no backup keeping is called 'fee'; there are: few"):
        call_command("retention_preview", *map(str, where), "--keeping", "fee")


def test_what_cannot_be_previewed_hides_nothing_else(roots: Roots) -> None:
    _put(roots.dataset, "raw/a", days_old=9)
    where = ["--dataset-root", str(roots.dataset), "--backup-root", str(roots.backup)]
    out = StringIO()
    call_command("retention_preview", *where, stdout=out)
    assert "1 of 1 files have expired, 5 bytes" in out.getvalue()
    assert "too old" not in out.getvalue()
    FileRetention.objects.create(name="logs", data_root=str(roots.dataset / "nowhere"))
    out = StringIO()
    with pytest.raises(CommandError, match=r"nowhere' is not a directory"):
        call_command("retention_preview", *where, stdout=out)
    assert "1 of 1 files have expired" in out.getvalue()
    FileRetention.objects.update(data_root="")
    out = StringIO()
    call_command("retention_preview", *where, stdout=out)
    assert "1 of 1 files are too old, 5 bytes, 0 more are too old" in out.getvalue()


def test_a_failed_backup_is_a_failed_run(roots: Roots, settings: Any) -> None:
    _put(roots.dataset, "raw/a")
    back_up_and_maintain()
    settings.BACKUP_ROOT = roots.dataset.parent

    with pytest.raises((MaintenanceFailedError, RootsError), match="lies in the backup root"):
        back_up_and_maintain()


def _call(*arguments: object) -> Any:
    out = StringIO()
    call_command(*map(str, arguments), "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_commands_preview_maintain_and_verify(roots: Roots) -> None:
    file = _put(roots.dataset, "raw/a", days_old=9)
    where = ["--dataset-root", roots.dataset, "--backup-root", roots.backup]

    preview = _call("maintain", "--path", "dataset", "--dry-run", *where)
    assert preview["candidates"] == [{"path": "raw/a", "category": "raw", "size_bytes": 5}]
    assert file.exists()
    assert not roots.backup.exists()

    done = _call("maintain", "--path", "dataset", *where)
    assert done["status"] == "completed"
    backup = Backup.objects.get()
    assert _call("verify_backup", backup.backup_id)["verified"] is True
    assert _call("verify_backup", backup.directory)["files"] == 1

    (backup.directory / backup.archive_name).write_bytes(b"tampered")
    with pytest.raises(CommandError, match="is damaged"):
        call_command("verify_backup", backup.backup_id)
    backup.refresh_from_db()
    assert backup.state == "failed"
    assert "is damaged" in backup.error


def test_the_commands_say_what_is_wrong(roots: Roots) -> None:
    with pytest.raises(CommandError, match="is not a directory: create it or mount it"):
        call_command("maintain", "--path", "dataset", "--dataset-root", str(roots.dataset))
    with pytest.raises(CommandError, match="is no backup"):
        call_command("verify_backup", "000009")
