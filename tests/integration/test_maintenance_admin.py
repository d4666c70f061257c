"""Backups in the admin: nothing about them can be rewritten, and they can be held."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from maintenance.backup import BackupOrder, make_backup
from maintenance.manifest import Purpose
from maintenance.models import Backup, BackupHold, BackupKeeping
from maintenance.roots import Roots
from retention.scanner import DatasetScanner


@pytest.fixture
def backup(tmp_path: Path) -> Backup:
    roots = Roots(dataset=tmp_path / "data", backup=tmp_path / "backups")
    roots.dataset.mkdir()
    roots.backup.mkdir()
    (roots.dataset / "a").write_text("x")
    order = BackupOrder(roots=roots, purpose=Purpose.SNAPSHOT, now=datetime.now(UTC))
    return make_backup(DatasetScanner(roots.dataset), order)


def management(prefix: str, **first: str) -> dict[str, str]:
    form = {"TOTAL_FORMS": "1", "INITIAL_FORMS": "0", **{f"0-{k}": v for k, v in first.items()}}
    return {f"{prefix}-{name}": value for name, value in form.items()}


@pytest.mark.django_db
def test_a_hold_is_placed_and_the_backup_itself_is_not_to_be_edited(
    admin_client: Client, backup: Backup
) -> None:
    page = f"/admin/maintenance/backup/{backup.pk}/change/"
    assert admin_client.get(page).status_code == 200
    hold = management("holds", owner="ada", reason="audit of 2026")
    answer = admin_client.post(page, {**hold, "state": "removed", "archive_sha256": "0" * 64})
    assert answer.status_code == 302
    assert str(BackupHold.objects.get(backup=backup)) == "ada: audit of 2026"
    unchanged: Any = Backup.objects.get()
    assert (unchanged.state, unchanged.archive_sha256) == ("verified", backup.archive_sha256)


@pytest.mark.django_db
def test_a_backup_is_neither_added_nor_deleted_here(admin_client: Client, backup: Backup) -> None:
    assert admin_client.get("/admin/maintenance/backup/add/").status_code == 403
    gone = admin_client.post(f"/admin/maintenance/backup/{backup.pk}/delete/", {"post": "yes"})
    assert gone.status_code == 403
    assert Backup.objects.exists()


@pytest.mark.django_db
def test_a_keeping_policy_out_of_range_is_refused_on_the_page(admin_client: Client) -> None:
    values = dict.fromkeys(("last", "daily", "weekly", "monthly", "yearly", "within_days"), "1")
    form = {"name": "mine", "enabled": "on", **values, "minimum": "0"}
    page = admin_client.post("/admin/maintenance/backupkeeping/add/", form)
    assert "minimum is 0: give a whole number from 1" in page.content.decode()
    admin_client.post("/admin/maintenance/backupkeeping/add/", {**form, "minimum": "2"})
    assert BackupKeeping.objects.get().as_policy().minimum == 2
