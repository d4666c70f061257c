"""The first maintenance path on real files: back up what expired, then delete it (SPEC E3)."""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenance.layout import backup_names
from maintenance.locks import maintenance_lock
from maintenance.models import Backup
from maintenance.roots import Roots
from maintenance.runner import run_maintenance_automation
from maintenance.verify import verify_backup
from retention.models import Deletion
from retention.policies import DataRetentionPolicy

pytestmark = pytest.mark.django_db
POLICY = DataRetentionPolicy()


def _put(root: Path, path: str, content: bytes = b"x", *, days_old: float = 0) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    modified = (datetime.now(UTC) - timedelta(days=days_old)).timestamp()
    os.utime(file, (modified, modified))
    return file


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    (tmp_path / "data").mkdir()
    return Roots(dataset=tmp_path / "data", backup=tmp_path / "backups")


def test_exactly_the_expired_files_are_backed_up_and_deleted(roots: Roots) -> None:
    expired = _put(roots.dataset, "raw_snapshot/old.json", b"old", days_old=8)
    stays = [
        _put(roots.dataset, "raw_snapshot/new.json", days_old=6),
        _put(roots.dataset, "pattern_record/a.json", days_old=29),
        _put(roots.dataset, "decision_snapshot/raw.json", days_old=9_000),
        _put(roots.dataset, "drawings/a.json", days_old=9_000),
    ]

    result = run_maintenance_automation(roots.dataset, roots.backup, POLICY)

    backup = Backup.objects.get()
    assert result == {
        "status": "completed",
        "dataset_root": str(roots.dataset),
        "backup_root": str(roots.backup),
        "retention": {"scanned_files": 5, "expired_candidates": 1},
        "backup": {
            "archive_name": backup.archive_name,
            "record_count": 1,
            "checksum": backup.archive_sha256,
            "backup_at": backup.created_at.isoformat(),
        },
        "deletion": {"executed": True, "deleted_files": 1, "kept": []},
    }
    assert not expired.exists()
    assert all(file.exists() for file in stays)
    assert (backup.state, backup.purpose) == ("verified", "expired")
    record = Deletion.objects.get()
    assert (record.path, record.backup_id) == ("raw_snapshot/old.json", backup.backup_id)
    assert record.deleted_at is not None


def test_no_backup_is_made_when_nothing_expired(roots: Roots) -> None:
    _put(roots.dataset, "raw/new", days_old=1)

    result = run_maintenance_automation(roots.dataset, roots.backup, POLICY)

    assert result["status"] == "nothing_to_do"
    assert result["backup"] is None
    assert result["deletion"] == {"executed": False, "deleted_files": 0, "kept": []}
    assert "error" not in result
    assert not list(backup_names(roots.backup))


@pytest.mark.parametrize(
    "name", ["line\nbreak", os.fsdecode(b"bad\xff\xfe"), "ü" * 127, "a\\udcff"]
)
def test_odd_names_survive_the_way_into_the_archive_and_back(roots: Roots, name: str) -> None:
    file = _put(roots.dataset, f"raw/{name}", b"precious", days_old=8)

    result = run_maintenance_automation(roots.dataset, roots.backup, POLICY)

    assert (result["status"], result["deletion"]["deleted_files"]) == ("completed", 1)
    assert not file.exists()
    backup = Backup.objects.get()
    restored = subprocess.run(
        ["tar", "-xOf", backup.directory / backup.archive_name], capture_output=True, check=True
    )
    assert restored.stdout == b"precious"


@pytest.mark.parametrize("modified", [-86_400.5, 0.0, 4_000_000_000.0])
def test_a_time_before_1970_expires_and_one_from_the_future_does_not(
    roots: Roots, modified: float
) -> None:
    file = _put(roots.dataset, "raw/a")
    os.utime(file, (modified, modified))

    run_maintenance_automation(roots.dataset, roots.backup, POLICY)

    assert file.exists() is (modified > 1)


def test_links_are_never_followed_nor_deleted(roots: Roots, tmp_path: Path) -> None:
    outside = _put(tmp_path, "outside/raw.json", b"not ours", days_old=99)
    (roots.dataset / "raw").mkdir()
    link = roots.dataset / "raw" / "link.json"
    link.symlink_to(outside)
    (roots.dataset / "raw" / "loop").symlink_to(roots.dataset, target_is_directory=True)
    first = _put(roots.dataset, "raw/first", b"twice", days_old=9)
    os.link(first, roots.dataset / "raw" / "second")

    result = run_maintenance_automation(roots.dataset, roots.backup, POLICY)

    assert result["deletion"]["deleted_files"] == 2
    assert outside.read_bytes() == b"not ours"
    assert link.is_symlink()


def test_a_backup_root_inside_the_dataset_is_left_out_and_the_reverse_refused(
    roots: Roots,
) -> None:
    inside = roots.dataset / "raw_backups"
    _put(roots.dataset, "raw_backups/raw.tar", days_old=99)

    result = run_maintenance_automation(roots.dataset, inside, POLICY)
    reverse = run_maintenance_automation(inside, roots.dataset, POLICY)
    same = run_maintenance_automation(roots.dataset, roots.dataset, POLICY)

    assert result["status"] == "nothing_to_do"
    assert result["retention"]["scanned_files"] == 0
    for refused in (reverse, same):
        assert refused["status"] == "backup_failed"
        assert "lies in the backup root" in refused["error"]


def test_a_missing_dataset_root_is_a_result_that_names_it(roots: Roots) -> None:
    result = run_maintenance_automation(roots.dataset / "nowhere", roots.backup, POLICY)

    assert result["status"] == "backup_failed"
    assert "nowhere" in result["error"]
    assert result["deletion"]["executed"] is False


def test_a_root_that_is_being_maintained_is_left_alone(roots: Roots) -> None:
    file = _put(roots.dataset, "raw/old", days_old=8)
    roots.backup.mkdir()

    with maintenance_lock(roots):
        busy = run_maintenance_automation(roots.dataset, roots.backup, POLICY)
        elsewhere = run_maintenance_automation(
            roots.dataset, roots.backup.with_name("other"), POLICY
        )

    assert (busy["status"], elsewhere["status"]) == ("backup_failed", "backup_failed")
    assert "being maintained by another process" in busy["error"]
    assert file.exists()
    assert run_maintenance_automation(roots.dataset, roots.backup, POLICY)["status"] == "completed"


def test_the_manifests_form_a_chain(roots: Roots) -> None:
    for day in (30, 20, 10):
        _put(roots.dataset, f"raw/{day}", days_old=day)
        # A clock that is set back between backups does not disturb the order.
        now = datetime.now(UTC) + timedelta(days=day)
        run_maintenance_automation(roots.dataset, roots.backup, POLICY, now=now)

    first, second, third = Backup.objects.order_by("sequence")
    assert first.created_at > second.created_at > third.created_at
    assert first.previous_sha256 == ""
    assert second.previous_sha256 == first.manifest_sha256
    assert third.previous_sha256 == second.manifest_sha256
    assert verify_backup(third.manifest_file).header.previous_id == second.backup_id
