"""Maintenance as Celery tasks: what jobs are made of, and what the admin hands to the workers."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from celery import shared_task
from django.conf import settings
from django.db.models import F

from maintenance import copies
from maintenance.coordinator import run_maintenance
from maintenance.errors import BackupNotFoundError, MaintenanceFailedError
from maintenance.layout import BACKUP_ID
from maintenance.models import Backup
from maintenance.outcome import failure_in_words
from maintenance.records import drill_named, recheck_backup, restore_named
from maintenance.runner import run_maintenance_automation
from maintenance.standing import KEPT_SHOWN, shortened
from retention.files import printable
from retention.models import current_file_retention, current_policy


@shared_task
def maintain_dataset() -> dict[str, Any]:
    """Run the first path (SPEC E3) on DATASET_ROOT, by the policy of the admin.

    Which directories it may delete from is nothing that whoever sends a message says. Raises
    MaintenanceFailedError.
    """
    result = run_maintenance_automation(
        settings.DATASET_ROOT, settings.BACKUP_ROOT, current_policy()
    )
    if result["status"] == "backup_failed":
        raise MaintenanceFailedError(failure_in_words(result))
    return shortened(result)


@shared_task
def maintain_files() -> dict[str, Any]:
    """Run the second path (SPEC E4), by the file retention of the admin, and where that says.

    The result counts, and names the first 20 that were kept. Raises MaintenanceFailedError.
    """
    row = current_file_retention()
    if row.pk is None:  # by default all that is older than a week would go, decisions as well
        raise MaintenanceFailedError(
            "no file retention is enabled: make one in the admin, which says where, and how old"
        )
    root = row.data_root or settings.DATASET_ROOT
    report = run_maintenance(root, settings.BACKUP_ROOT, row.as_policy(), row.backed_up)
    if report.failure:
        raise MaintenanceFailedError(report.failure)
    skipped = report.cleanup.skipped
    return {
        "manifest_path": report.backup.manifest_path and printable(report.backup.manifest_path),
        "candidates": len(report.candidates),
        "deleted_files": len(report.cleanup.deleted),
        "kept_files": len(skipped),
        "kept": [
            {"path": printable(item.path), "reason": item.reason} for item in skipped[:KEPT_SHOWN]
        ],
    }


@shared_task
def verify_backup(backup_id: str = "") -> dict[str, Any]:
    """Read a backup back; without an id the one whose verification is longest ago."""
    backup_id = backup_id or _longest_unverified()
    if not backup_id:
        return {"backup_id": None}
    manifest = recheck_backup(backup_id, now=datetime.now(UTC))
    return {"backup_id": backup_id, "files": manifest.totals.file_count}


@shared_task
def copy_backups() -> dict[str, Any]:
    """Copy what is not copied yet to OPS_BACKUP_COPY_URL; raise MaintenanceFailedError."""
    copied = copies.copy_backups(now=datetime.now(UTC))
    if copied.failed:
        raise MaintenanceFailedError(copied.in_words())
    return {"copied": copied.backups, "sent_bytes": copied.sent_bytes}


@shared_task
def drill_backup(backup_id: str = "") -> dict[str, Any]:
    """Restore a backup to scratch and compare; without an id the newest verified one."""
    newest = Backup.objects.verified().newest_first().first()
    backup_id = backup_id or (newest.backup_id if newest else "")
    if not backup_id:
        return {"backup_id": None}
    done = drill_named(backup_id, settings.OPS_DATA_DIR, now=datetime.now(UTC))
    return {"backup_id": backup_id, "seconds": round(done.seconds, 3)}


@shared_task
def restore_backup(backup_id: str) -> dict[str, Any]:
    """Restore a backup to a new directory in RESTORE_ROOT, for somebody to look at."""
    if not BACKUP_ID.fullmatch(backup_id):  # a path would lead out of RESTORE_ROOT
        raise BackupNotFoundError(f"{backup_id!r} is no id of a backup")
    now = datetime.now(UTC)
    target = Path(settings.RESTORE_ROOT) / f"{backup_id}-{now:%Y%m%dT%H%M%SZ}"
    restored = restore_named(backup_id, target, now=now).restored
    return {"backup_id": backup_id, "target": str(target), "files": restored.files}


def _longest_unverified() -> str:
    """Return the id of the one to verify next: what failed is no more to be asked for a while."""
    known = Backup.objects.present().exclude(state=Backup.State.FAILED)
    row = known.order_by(F("verified_at").asc(nulls_first=True), "sequence").first()
    return row.backup_id if row else ""
