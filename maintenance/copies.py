"""Keeps copies of backups elsewhere, and brings them back where the backup root was lost."""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db.models import Q

from maintenance.errors import MaintenanceError, RemoteError
from maintenance.layout import MANIFEST_NAME, discard, sequence_of, sweep_partials
from maintenance.locks import backup_lock, reading
from maintenance.manifest import Manifest
from maintenance.models import Backup
from maintenance.remote import SETTING, Remote
from maintenance.verify import verify_backup

log = logging.getLogger(__name__)


@dataclass
class Copied:
    """What was copied, how many bytes went, and what could not be copied and why."""

    backups: list[str] = field(default_factory=list)
    sent_bytes: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def in_words(self) -> str:
        """Return what could not be copied, and why."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.failed.items())


def current_remote() -> Remote:
    """Return the place that the setting names; raise RemoteError, also where it names none."""
    url: str = settings.OPS_BACKUP_COPY_URL
    if not url:
        raise RemoteError(f"{SETTING} names no place for copies: set it, s3://bucket/path say")
    return Remote(url)


def copy_backups(*, now: datetime) -> Copied:
    """Copy the backups that are whole and not there yet, the oldest first.

    One that cannot be copied stops no other. Raises RemoteError where the place cannot be used.
    """
    remote, copied = current_remote(), Copied()
    there = remote.begun_ids()
    whole = Backup.objects.present().exclude(state=Backup.State.FAILED)
    # A row says that it was copied, and not that the place is still the same.
    waiting = whole.filter(Q(copied_at=None) | ~Q(backup_id__in=there))
    for row in waiting.order_by("sequence"):
        try:
            remote.require_apart(row.directory.parent)
            with reading(row.directory):
                copied.sent_bytes += remote.put(row.read_manifest())
        except MaintenanceError as error:
            copied.failed[row.backup_id] = str(error)
            named = {"backup_id": row.backup_id, "error": str(error)}
            log.warning("backup_not_copied", extra=named)
            continue
        row.note(copied_at=now)
        copied.backups.append(row.backup_id)
        log.info("backup_copied", extra={"backup_id": row.backup_id})
    return copied


def fetch_backup(backup_id: str, backup_root: Path, *, now: datetime) -> Backup:
    """Bring a copy back into the backup root, verify it, and give it its row again.

    Raises RemoteError, RootBusyError, or VerificationError, and then it is not there.
    """
    if not sequence_of(backup_id):
        raise RemoteError(f"{backup_id!r} is no id of a backup")
    known = Backup.objects.filter(backup_id=backup_id).first()
    with backup_lock(backup_root):
        directory = backup_root / backup_id
        if directory.exists():
            raise RemoteError(f"{str(directory)!r} is there already: `backup_rescan` knows it")
        sweep_partials(backup_root)
        fetched = current_remote().fetch(backup_id, backup_root)
        recorded = known.manifest_sha256 if known else ""
        try:
            manifest = verify_backup(fetched / MANIFEST_NAME, manifest_sha256=recorded)
            _require_its_own(manifest, backup_id)
        except BaseException:
            discard(fetched)
            raise
        row = Backup.of(manifest, sequence=sequence_of(backup_id))
        if known is not None:
            row.pk, row.anomaly = known.pk, known.anomaly
            row.drilled_at, row.drill_seconds = known.drilled_at, known.drill_seconds
        row.state, row.verified_at, row.copied_at = row.state_if_whole, now, now
        row.save()
    log.info("backup_fetched", extra={"backup_id": backup_id})
    return row


def _require_its_own(manifest: Manifest, backup_id: str) -> None:
    if manifest.header.backup_id != backup_id:
        raise RemoteError(f"what is stored as {backup_id} is {manifest.header.backup_id}")
