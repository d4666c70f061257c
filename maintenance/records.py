"""Finds a backup by what an operator calls it, and notes what verifications and drills say."""

import logging
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction

from maintenance.drill import Drill, drill
from maintenance.errors import (
    BackupNotFoundError,
    BackupUnreadableError,
    ManifestError,
    VerificationError,
)
from maintenance.layout import MANIFEST_NAME, sequence_of
from maintenance.locks import reading
from maintenance.manifest import Manifest
from maintenance.models import Backup
from maintenance.restore import Restoration, restore_backup
from maintenance.sharing import suspect_sharers
from maintenance.verify import verify_backup
from scheduling.actions.audit import Operator, record

log = logging.getLogger(__name__)


def recheck_backup(name: str, *, now: datetime) -> Manifest:
    """Verify the backup with this id, or at this path; keep the verdict in its row, if it has one.

    Raises BackupNotFoundError, ManifestError, VerificationError.
    """
    named = named_backup(name)
    with named.kept(), _verdict_noted(named.row):
        manifest = verify_backup(named.manifest_path, manifest_sha256=named.manifest_sha256)
    _note_whole(named.row, now)
    return manifest


def accept_backup(row: Backup, operator: Operator) -> None:
    """Say that what is odd about a backup is right: cleanups and the history go on with it."""
    with transaction.atomic():
        record(
            operator, "accept_backup", f"backup {row.backup_id}", before={"anomaly": row.anomaly}
        )
        whole = row.state == Backup.State.SUSPECT and not row.error
        row.note(anomaly="", state=Backup.State.VERIFIED if whole else row.state)


def restore_named(
    name: str, target: Path, *, only: Collection[str] = (), overwrite: bool = False, now: datetime
) -> Restoration:
    """Restore from the backup with this id, or at this path; what was verified for it is noted.

    Raises BackupNotFoundError and what `restore_backup` raises.
    """
    named = named_backup(name)
    with named.kept(), _verdict_noted(named.row):
        restoration = restore_backup(
            named.manifest_path,
            target,
            only=only,
            overwrite=overwrite,
            manifest_sha256=named.manifest_sha256,
        )
    _note_whole(named.row, now)
    return restoration


def drill_named(name: str, scratch: Path, *, now: datetime) -> Drill:
    """Drill the backup with this id, or at this path, and keep in its row when, and how long.

    Raises BackupNotFoundError and what `drill` raises.
    """
    named = named_backup(name)
    with named.kept(), _verdict_noted(named.row):
        done = drill(named.manifest_path, scratch, manifest_sha256=named.manifest_sha256)
    _note_whole(named.row, now, drilled_at=now, drill_seconds=done.seconds)
    return done


@dataclass(frozen=True)
class NamedBackup:
    """Where a backup's manifest lies, and its row, where the database knows it."""

    manifest_path: Path
    row: Backup | None

    @property
    def manifest_sha256(self) -> str:
        """The hash that was recorded, '' if none was."""
        return self.row.manifest_sha256 if self.row else ""

    def kept(self) -> AbstractContextManager[None]:
        """Keep it from being removed while it is read; raise RootBusyError if it is already."""
        return reading(self.manifest_path.parent)


def named_backup(name: str) -> NamedBackup:
    """Return the backup with this id, or at this path; raise BackupNotFoundError."""
    row = _row_of(name)
    manifest_path = row.manifest_file if row else _manifest_at(Path(name))
    if row is None:  # a copy of it elsewhere has the same id, and is not what the row is about
        known = _row_of(manifest_path.parent.name)
        row = known if known and known.manifest_file.resolve() == manifest_path else None
    return NamedBackup(manifest_path, row)


def _row_of(backup_id: str) -> Backup | None:
    """Return the row with this id; what is no id is not asked for, a database may not take it."""
    return Backup.objects.filter(backup_id=backup_id).first() if sequence_of(backup_id) else None


@contextmanager
def _verdict_noted(row: Backup | None) -> Iterator[None]:
    try:
        yield
    except (ManifestError, VerificationError) as error:
        if row is not None and not isinstance(error, BackupUnreadableError):
            row.note(state=Backup.State.FAILED, error=str(error))
            if isinstance(error, VerificationError) and error.path:
                suspect_sharers(row, error.path)
        raise


def _note_whole(row: Backup | None, now: datetime, **more: object) -> None:
    if row is not None:
        row.note(state=row.state_if_whole, error="", verified_at=now, **more)
        log.info("backup_rechecked", extra={"backup_id": row.backup_id, "state": row.state})


def _manifest_at(path: Path) -> Path:
    """Return the manifest that a directory, an archive or a manifest's own path stand for."""
    with suppress(OSError, ValueError):  # what is no path is no backup either
        for candidate in (path / MANIFEST_NAME, path.resolve().with_name(MANIFEST_NAME)):
            if path.exists() and candidate.is_file():
                return candidate.resolve()
    raise BackupNotFoundError(
        f"{str(path)!r} is no backup: give an id from the admin, or the path of its directory; "
        "`manage.py backup_rescan` finds those that the database does not know"
    )
