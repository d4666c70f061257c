"""Bounds the number of snapshots, never the last verified one nor a deleted file's only copy."""

import logging
from datetime import datetime

from django.db import transaction

from maintenance.errors import ManifestError
from maintenance.layout import discard
from maintenance.manifest import Manifest, Purpose
from maintenance.models import Backup
from maintenance.roots import Roots
from retention.files import BackedUpFile, FoundFile
from retention.journal import Warrant, conclude_deletions, plan_deletions, settle_deletions
from retention.keeping import KeepingPolicy, Snapshot

log = logging.getLogger(__name__)


def prune_snapshots(roots: Roots, policy: KeepingPolicy, *, now: datetime) -> list[Backup]:
    """Remove the snapshots of this dataset that `policy` lets go; return their rows.

    Each leaves a Deletion. The caller holds the lock of the roots.
    """
    _settle(roots, now)
    rows = {
        row.backup_id: row
        for row in Backup.objects.below(roots.backup)
        .snapshots_of(roots.dataset)
        .exclude(state=Backup.State.REMOVED)
    }
    removable = policy.removable(
        Snapshot(backup_id=row.backup_id, sequence=row.sequence, intact=row.is_intact)
        for row in rows.values()
    )
    chosen = [rows[item.backup_id] for item in removable]
    return [row for row in chosen if _remove(row, roots, policy, now)]


def _settle(roots: Roots, now: datetime) -> None:
    """Finish what a crash interrupted: a backup that lost its name is removed."""
    gone = settle_deletions(roots.backup, at=now)
    Backup.objects.filter(backup_id__in=gone).update(state=Backup.State.REMOVED)


def _remove(row: Backup, roots: Roots, policy: KeepingPolicy, now: datetime) -> bool:
    if row.directory.exists() and not _says_snapshot(row):
        return False
    warrant = Warrant(backup_id="", reason=f"keep last {policy.last} snapshots", at=now)
    as_file = BackedUpFile(FoundFile(row.backup_id, row.archive_bytes, 0, 0), row.archive_sha256)
    planned = plan_deletions([as_file], root=roots.backup, warrant=warrant)
    if row.directory.exists():
        discard(row.directory)
    with transaction.atomic():
        conclude_deletions(planned, kept_paths=(), at=now)
        row.state = Backup.State.REMOVED
        row.save(update_fields=["state"])
    log.info("snapshot_removed", extra={"backup_id": row.backup_id})
    return True


def _says_snapshot(row: Backup) -> bool:
    """Ask the manifest itself: a row may be wrong, and the copy of a deleted file must stay."""
    try:
        return Manifest.read(row.manifest_file).header.purpose is Purpose.SNAPSHOT
    except ManifestError as error:
        log.warning("snapshot_kept", extra={"backup_id": row.backup_id, "reason": str(error)})
        return False
