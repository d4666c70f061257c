"""Backups in the admin: nothing about them can be rewritten, and they can be held."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from maintenance import tasks
from maintenance.backup import BackupOrder, make_backup
from maintenance.manifest import Purpose
from maintenance.models import Backup, BackupHold, BackupKeeping
from maintenance.preview import gap_in_words, preview_backups
from maintenance.roots import Roots
from retention.keeping import KeepingPolicy
from retention.models import FileRetention, current_file_retention
from retention.scanner import DatasetScanner
from scheduling.models import Run


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


def done(admin_client: Client, action: str, backup: Backup) -> str:
    form = {"action": action, "_selected_action": [backup.pk]}
    page = admin_client.post("/admin/maintenance/backup/", form, follow=True)
    return page.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("action", "task"),
    [
        ("verify", "verify_backup"),
        ("drill", "drill_backup"),
        ("restore_to_scratch", "restore_backup"),
    ],
)
def test_what_takes_long_is_handed_to_the_workers(
    admin_client: Client, backup: Backup, settings: Any, tmp_path: Path, action: str, task: str
) -> None:
    settings.OPS_DATA_DIR = tmp_path
    settings.RESTORE_ROOT = tmp_path / "restored"
    said = done(admin_client, action, backup)
    run = Run.objects.get(office__office_id="maintenance")
    assert (run.task, run.params) == (
        f"maintenance.tasks.{task}", {"backup_id": backup.backup_id},
    )  # fmt: skip
    assert f"?office__id__exact={run.office_id}" in said
    assert (
        admin_client.get(f"/admin/scheduling/run/?office__id__exact={run.office_id}").status_code
        == 200
    )
    result = getattr(tasks, task)(**run.params)
    assert result["backup_id"] == backup.backup_id
    backup.refresh_from_db()
    assert (action == "drill") == (backup.drilled_at is not None)
    restored = list(settings.RESTORE_ROOT.glob("*/a")) if settings.RESTORE_ROOT.exists() else []
    assert (action == "restore_to_scratch") == bool(restored)


@pytest.mark.django_db
def test_what_was_removed_is_handed_to_nobody(admin_client: Client, backup: Backup) -> None:
    Backup.objects.update(state="removed")
    assert "None of them is there any more" in done(admin_client, "verify", backup)
    assert not Run.objects.exists()


@pytest.mark.django_db
def test_only_who_may_change_backups_may_have_them_restored(
    client: Client, backup: Backup, django_user_model: Any
) -> None:
    viewer = django_user_model.objects.create_user("viewer", password="x", is_staff=True)  # noqa: S106
    viewer.user_permissions.add(Permission.objects.get(codename="view_backup"))
    client.force_login(viewer)
    done(client, "restore_to_scratch", backup)
    assert not Run.objects.exists()
    assert client.get("/admin/maintenance/backup/preview/").status_code == 200
    nobody = django_user_model.objects.create_user("nobody", password="x", is_staff=True)  # noqa: S106
    client.force_login(nobody)
    assert client.get("/admin/maintenance/backup/preview/").status_code == 403


@pytest.mark.django_db
def test_the_preview_shows_what_would_go_and_why_the_rest_stays(
    admin_client: Client, backup: Backup, settings: Any, tmp_path: Path
) -> None:
    settings.DATASET_ROOT, settings.BACKUP_ROOT = tmp_path / "data", tmp_path / "backups"
    old = tmp_path / "data" / "raw" / "<old>"
    old.parent.mkdir()
    old.write_text("12345")
    os.utime(old, (0, 0))
    page = admin_client.get("/admin/maintenance/backup/").content.decode()
    assert "/admin/maintenance/backup/preview/" in page
    shown = admin_client.get("/admin/maintenance/backup/preview/").content.decode()
    assert backup.backup_id in shown
    assert "stays: minimum, last, daily" in shown
    assert "raw/&lt;old&gt;" in shown
    assert "No file retention is enabled" in shown
    FileRetention.objects.create(name="logs", data_root=str(tmp_path / "nowhere"))
    shown = admin_client.get("/admin/maintenance/backup/preview/").content.decode()
    assert "is not a directory: create it or mount it" in shown
    assert "raw/&lt;old&gt;" in shown
    FileRetention.objects.update(data_root="")
    shown = admin_client.get("/admin/maintenance/backup/preview/").content.decode()
    assert "older than 7 days" in shown


@pytest.mark.django_db
def test_a_policy_is_previewed_before_it_counts(
    admin_client: Client, backup: Backup, settings: Any, tmp_path: Path
) -> None:
    settings.DATASET_ROOT, settings.BACKUP_ROOT = tmp_path / "data", tmp_path / "backups"
    row = BackupKeeping.objects.create(name="a & b", enabled=False, last=0, daily=3)
    chosen = {"action": "preview", "_selected_action": [row.pk]}
    answer = admin_client.post("/admin/maintenance/backupkeeping/", chosen, follow=True)
    page = answer.content.decode()
    assert "were <em>a &amp; b</em> the policy" in page
    assert f"{backup.backup_id}" in page
    assert "stays: minimum, daily" in page


@pytest.mark.django_db
def test_the_gap_that_a_removal_would_leave_is_told(backup: Backup, tmp_path: Path) -> None:
    roots = Roots(dataset=tmp_path / "data", backup=tmp_path / "backups")
    for hours in (1, 2, 3):
        order = BackupOrder(
            roots=roots, purpose=Purpose.SNAPSHOT, now=backup.created_at + timedelta(hours=hours)
        )
        make_backup(DatasetScanner(roots.dataset), order)
    keeping = KeepingPolicy(last=1, daily=0, weekly=0, monthly=0, within_days=0)
    BackupHold.objects.create(backup=backup, owner="ada", reason="x")
    told = preview_backups(roots.dataset, roots.backup, keeping, now=datetime.now(UTC))
    assert (told["going"], told["gap_seconds"], told["gap_after_seconds"]) == (2, 3600, 3 * 3600)
    assert told["going_bytes"] > 0
    grows = "the longest time between two copies would grow from 1:00:00 to 3:00:00"
    assert gap_in_words(told) == grows


@pytest.mark.django_db
def test_a_file_retention_is_checked_on_its_page(admin_client: Client) -> None:
    form = {"name": "logs", "enabled": "on", "data_root": "logs", "ttl_days": "3"}
    add = "/admin/retention/fileretention/add/"
    assert "Give an absolute path" in admin_client.post(add, form).content.decode()
    form |= {"data_root": "/var/log", "include_globs": "/etc/*"}
    assert "leads out of the root" in admin_client.post(add, form).content.decode()
    form |= {"include_globs": "*.log\n*.gz", "backup_globs": "a/../b"}
    assert "leads out of the root" in admin_client.post(add, form).content.decode()
    assert admin_client.post(add, form | {"backup_globs": ""}).status_code == 302
    row = current_file_retention()
    assert row.as_policy().include_globs == ("*.log", "*.gz")
    assert (row.backed_up, row.data_root, row.as_policy().ttl_days) == (None, "/var/log", 3)
    FileRetention.objects.update(enabled=False)
    assert current_file_retention().as_policy().ttl_days is None
