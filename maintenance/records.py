"""Finds a backup by what an operator calls it, and notes what a new verification says."""

import logging
from datetime import datetime
from pathlib import Path

from maintenance.errors import BackupNotFoundError, ManifestError, VerificationError
from maintenance.layout import MANIFEST_NAME
from maintenance.manifest import Manifest
from maintenance.models import Backup
from maintenance.verify import verify_backup

log = logging.getLogger(__name__)


def recheck_backup(name: str, *, now: datetime) -> Manifest:
    """Verify the backup with this id, or at this path; keep the verdict in its row, if it has one.

    Raises BackupNotFoundError, ManifestError, VerificationError.
    """
    row = Backup.objects.filter(backup_id=name).first()
    manifest_path = row.manifest_file if row else _manifest_at(Path(name))
    row = row or Backup.objects.filter(backup_id=manifest_path.parent.name).first()
    try:
        manifest = verify_backup(manifest_path, manifest_sha256=row.manifest_sha256 if row else "")
    except (ManifestError, VerificationError) as error:
        _note(row, state=Backup.State.FAILED, error=str(error))
        raise
    _note(row, state=Backup.State.VERIFIED, error="", verified_at=now)
    return manifest


def _manifest_at(path: Path) -> Path:
    """Return the manifest that a directory, an archive or a manifest's own path stand for."""
    for candidate in (path / MANIFEST_NAME, path.with_name(MANIFEST_NAME)):
        if path.exists() and candidate.is_file():
            return candidate.resolve()
    raise BackupNotFoundError(
        f"{str(path)!r} is no backup: give an id from the admin, or the path of its directory"
    )


def _note(row: Backup | None, **verdict: object) -> None:
    if row is None:
        return
    Backup.objects.filter(pk=row.pk).exclude(state=Backup.State.REMOVED).update(**verdict)
    log.info("backup_rechecked", extra={"backup_id": row.backup_id, "state": verdict["state"]})
