"""A backup that is far from those before it stops the cleanup until somebody has looked."""

import os
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from maintenance import anomaly
from maintenance.backup import BackupOrder, make_backup
from maintenance.coordinator import run_maintenance
from maintenance.manifest import Manifest, Purpose, Strategy
from maintenance.models import Backup
from maintenance.roots import Roots
from maintenance.runner import run_maintenance_automation
from retention.policies import DataRetentionPolicy, FileRetentionPolicy
from retention.scanner import DatasetScanner
from scheduling.models import AuditEntry

pytestmark = pytest.mark.django_db
FILES = 20


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roots:
    monkeypatch.setattr(anomaly, "FEW_FILES", 2)
    monkeypatch.setattr(anomaly, "FEW_BYTES", 20)
    roots = Roots(dataset=tmp_path / "data", backup=tmp_path / "backups")
    roots.backup.mkdir()
    for number in range(FILES):
        put(roots, f"raw/{number:02d}", b"0123456789")
    return roots


def put(roots: Roots, path: str, content: bytes, *, days_old: float = 1) -> Path:
    file = roots.dataset / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    modified = (datetime.now(UTC) - timedelta(days=days_old)).timestamp()
    os.utime(file, (modified, modified))
    return file


def copy_all(roots: Roots, *, strategy: Strategy = Strategy.ARCHIVE) -> Backup:
    before = Backup.objects.trees().newest_first().first()
    order = BackupOrder(
        roots=roots,
        purpose=Purpose.SNAPSHOT,
        now=datetime.now(UTC) + timedelta(hours=1 + Backup.objects.count()),
        strategy=strategy,
        base=Manifest.read(before.manifest_file) if before else None,
    )
    return make_backup(DatasetScanner(roots.dataset), order)


def drop(roots: Roots, count: int) -> None:
    for file in sorted((roots.dataset / "raw").iterdir())[:count]:
        file.unlink()


@pytest.mark.parametrize(
    ("gone", "said"),
    [(0, ""), (9, ""), (11, "9 files where the last 3 had 20; 90 bytes where the last 3 had 200")],
)
def test_where_half_of_the_files_are_gone_it_is_odd(roots: Roots, gone: int, said: str) -> None:
    for _ in range(3):
        assert copy_all(roots).state == "verified"
    drop(roots, gone)
    backup = copy_all(roots)
    assert (backup.anomaly, backup.state) == (said, "suspect" if said else "verified")


def test_without_a_history_nothing_is_odd(roots: Roots) -> None:
    for _ in range(2):
        copy_all(roots)
    drop(roots, 19)
    assert not copy_all(roots).anomaly


def test_where_most_have_another_content_it_is_odd(roots: Roots) -> None:
    for _ in range(3):
        copy_all(roots, strategy=Strategy.FILE)
    for number in range(11):
        put(roots, f"raw/{number:02d}", b"encrypted!")
    backup = copy_all(roots, strategy=Strategy.FILE)
    assert backup.anomaly == "11 of 20 files have another content than before"


def test_a_clock_that_jumped_lets_nothing_go(roots: Roots) -> None:
    """All at once would be too old; the first path makes a backup of them, and stops."""
    now = datetime.now(UTC)
    for number in range(3):
        put(roots, f"raw/old-{number}", b"x", days_old=8)
        result = run_maintenance_automation(roots.dataset, roots.backup, DataRetentionPolicy())
        assert result["deletion"]["deleted_files"] == 1

    jumped = now + timedelta(days=365)
    result = run_maintenance_automation(
        roots.dataset, roots.backup, DataRetentionPolicy(), now=jumped
    )

    assert result["status"] == "backup_failed"
    assert "is suspect (20 files where the last 3 had 1" in result["error"]
    assert "--accept" in result["error"]
    assert len(list((roots.dataset / "raw").iterdir())) == FILES


def test_the_second_path_stops_as_well_and_goes_on_once_it_is_accepted(roots: Roots) -> None:
    for _ in range(3):
        run_maintenance(roots.dataset, roots.backup, FileRetentionPolicy())
    drop(roots, 15)
    old = put(roots, "old", b"x", days_old=8)

    report = run_maintenance(roots.dataset, roots.backup, FileRetentionPolicy())

    assert [(item.path, item.reason) for item in report.cleanup.skipped] == [
        ("old", "backup_suspect")
    ]
    assert "is suspect" in report.failure
    assert old.exists()
    suspect = Backup.objects.get(state="suspect")
    call_command("verify_backup", suspect.backup_id, "--accept", stdout=StringIO())
    suspect.refresh_from_db()
    assert (suspect.state, suspect.anomaly) == ("verified", "")
    entry = AuditEntry.objects.get(action="accept_backup")
    assert "files where the last 3 had 20" in (entry.before or {})["anomaly"]
    for _ in range(2):  # what it is used to now is the median of the last
        put(roots, "old", b"x", days_old=8)
        for backup in Backup.objects.exclude(anomaly=""):
            call_command("verify_backup", backup.backup_id, "--accept", stdout=StringIO())
        report = run_maintenance(roots.dataset, roots.backup, FileRetentionPolicy())
    assert Backup.objects.count() == 6


def test_verifying_alone_accepts_nothing(roots: Roots) -> None:
    for _ in range(3):
        copy_all(roots)
    drop(roots, 15)
    backup = copy_all(roots)
    call_command("verify_backup", backup.backup_id, stdout=StringIO())
    backup.refresh_from_db()
    assert (backup.state, backup.is_intact) == ("suspect", False)


def test_it_is_accepted_in_the_admin(roots: Roots, admin_client: Client) -> None:
    for _ in range(3):
        copy_all(roots)
    drop(roots, 15)
    backup = copy_all(roots)
    form = {"action": "accept", "_selected_action": [backup.pk]}
    answer = admin_client.post("/admin/maintenance/backup/", form, follow=True)
    assert "1 accepted" in answer.content.decode()
    backup.refresh_from_db()
    assert backup.is_intact
    assert AuditEntry.objects.get(action="accept_backup").actor == "admin"
