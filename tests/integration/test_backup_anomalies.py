"""A backup that is far from those before it stops the cleanup until somebody has looked."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from maintenance import anomaly
from maintenance.coordinator import run_maintenance
from maintenance.manifest import Strategy
from maintenance.models import Backup
from maintenance.roots import Roots
from maintenance.runner import run_maintenance_automation
from maintenance.snapshot import NoSnapshot, back_up_dataset
from retention.policies import DataRetentionPolicy, FileRetentionPolicy
from scheduling.models import AuditEntry
from tests.backups import back_up, make_roots, newest_tree, put

pytestmark = pytest.mark.django_db
FILES = 20


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roots:
    monkeypatch.setattr(anomaly, "FEW_FILES", 2)
    monkeypatch.setattr(anomaly, "FEW_BYTES", 20)
    roots = make_roots(tmp_path)
    for number in range(FILES):
        put(roots, f"raw/{number:02d}", b"0123456789", days_old=1)
    return roots


def drop(roots: Roots, count: int) -> None:
    for file in sorted((roots.dataset / "raw").iterdir())[:count]:
        file.unlink()


@pytest.mark.parametrize(
    ("gone", "said"),
    [(0, ""), (9, ""), (11, "9 files where the last 3 had 20; 90 bytes where the last 3 had 200")],
)
def test_where_half_of_the_files_are_gone_it_is_odd(roots: Roots, gone: int, said: str) -> None:
    for _ in range(3):
        assert back_up(roots).state == "verified"
    drop(roots, gone)
    backup = back_up(roots)
    assert (backup.anomaly, backup.state) == (said, "suspect" if said else "verified")


def test_without_a_history_nothing_is_odd(roots: Roots) -> None:
    for _ in range(2):
        back_up(roots)
    drop(roots, 19)
    assert not back_up(roots).anomaly


def test_where_most_have_another_content_it_is_odd(roots: Roots) -> None:
    for _ in range(3):
        back_up(roots, Strategy.FILE, base=newest_tree())
    for number in range(11):
        put(roots, f"raw/{number:02d}", b"encrypted!", days_old=1)
    backup = back_up(roots, Strategy.FILE, base=newest_tree())
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
    made = Backup.objects.count()
    again = run_maintenance_automation(
        roots.dataset, roots.backup, DataRetentionPolicy(), now=jumped
    )
    assert "--accept" in again["error"]
    assert Backup.objects.count() == made  # or every minute would add one that never goes


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
        back_up(roots)
    drop(roots, 15)
    backup = back_up(roots)
    call_command("verify_backup", backup.backup_id, stdout=StringIO())
    backup.refresh_from_db()
    assert (backup.state, backup.is_intact) == ("suspect", False)


def test_it_is_accepted_in_the_admin(roots: Roots, admin_client: Client) -> None:
    for _ in range(3):
        back_up(roots)
    drop(roots, 15)
    backup = back_up(roots)
    form = {"action": "accept", "_selected_action": [backup.pk]}
    answer = admin_client.post("/admin/maintenance/backup/", form, follow=True)
    assert "1 accepted" in answer.content.decode()
    backup.refresh_from_db()
    assert backup.is_intact
    assert AuditEntry.objects.get(action="accept_backup").actor == "admin"


def test_an_odd_snapshot_stops_every_cleanup_of_its_dataset(roots: Roots) -> None:
    for _ in range(3):
        back_up(roots)
    drop(roots, 15)
    old = put(roots, "raw/old", b"0123456789", days_old=9)
    told = StringIO()
    where = ["--dataset-root", str(roots.dataset), "--backup-root", str(roots.backup)]
    with pytest.raises(CommandError, match=r"is suspect \(.* files where the last 3 had 20"):
        call_command("backup", *where, stdout=told)
    assert ", suspect; " in told.getvalue()
    odd = Backup.objects.get(state="suspect")
    for path in ("dataset", "files"):
        with pytest.raises(CommandError, match=f"nothing was deleted: {odd.backup_id} is suspect"):
            call_command("maintain", "--path", path, *where)
    assert old.exists()
    told = StringIO()
    call_command("verify_backup", odd.backup_id, stdout=told)
    assert f"verify_backup {odd.backup_id} --accept" in told.getvalue()
    told = StringIO()
    call_command("verify_backup", odd.backup_id, "--accept", stdout=told)
    assert told.getvalue().strip().endswith("and accepted")
    call_command("maintain", "--path", "dataset", *where)
    assert not old.exists()


def test_an_odd_snapshot_is_followed_by_the_next_no_sooner_than_any(roots: Roots) -> None:
    for _ in range(3):
        back_up(roots)
    drop(roots, 15)
    odd = back_up(roots)
    soon, later = (odd.created_at + timedelta(minutes=minutes) for minutes in (1, 61))
    assert back_up_dataset(roots, now=soon) == NoSnapshot.RECENT
    assert back_up_dataset(roots, now=later) == NoSnapshot.UNCHANGED
    put(roots, "raw/more", b"0123456789", days_old=1)
    assert isinstance(back_up_dataset(roots, now=later), Backup)
