"""Holds what lies in a backup root against the database, and makes the rows that are missing.

The manifests are enough for all of it: a database that was lost is rebuilt from them.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from maintenance.errors import (
    BackupUnreadableError,
    EncryptionError,
    ManifestError,
    VerificationError,
)
from maintenance.layout import MANIFEST_NAME, backup_names, sequence_of
from maintenance.manifest import Manifest
from maintenance.models import Backup
from maintenance.verify import verify_backup
from retention.files import printable

log = logging.getLogger(__name__)
REWRITTEN = "its manifest is not the one that was recorded"
TO_BE_LOOKED_AT = {Backup.State.FAILED, Backup.State.REMOVED}  # and yet there


@dataclass
class Rescan:
    """What was found: ids of backups, with what is wrong where something is."""

    known: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)  # rows whose directory is not there
    broken_chain: dict[str, str] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)  # before it, and no row says why

    @property
    def is_well(self) -> bool:
        """Whether everything that should be there is, and as it was written."""
        return not (self.damaged or self.missing or self.broken_chain)


def rescan(backup_root: Path, *, now: datetime) -> Rescan:
    """Look at every backup in the root; verify those that have no row, and give them one.

    The caller holds the lock of the backup root.
    """
    found = Rescan()
    names = sorted(backup_names(backup_root), key=sequence_of)
    rows = {
        row.backup_id: row
        for row in Backup.objects.below(backup_root) | Backup.objects.filter(backup_id__in=names)
    }
    manifests: dict[str, Manifest] = {}
    for name in names:
        path = backup_root / name / MANIFEST_NAME
        try:
            manifests[name] = Manifest.read(path)
            _look_at(manifests[name], rows.get(name), found, now)
        except BackupUnreadableError as error:
            found.damaged[name] = str(error)
        except ManifestError as error:
            found.damaged[name] = str(error)
            _note_damage(rows.get(name), str(error), path)
    _look_for_missing(rows, {*manifests, *found.damaged}, found)
    _follow_chain(manifests, rows, found)
    return found


def _look_at(manifest: Manifest, row: Backup | None, found: Rescan, now: datetime) -> None:
    name = manifest.path.parent.name
    if row is None:
        if (stated := manifest.header.backup_id) != name:
            raise ManifestError(f"{str(manifest.path)!r} is the manifest of {stated}")
        _add(Backup.of(manifest, sequence=sequence_of(name)), manifest, found, now)
    elif manifest.sha256 != row.manifest_sha256:
        found.damaged[name] = REWRITTEN
        _note_damage(row, REWRITTEN, manifest.path)
    elif _is_elsewhere(row, manifest.path):
        found.known.append(name)  # a copy of one that is where its row says
    elif row.manifest_file != manifest.path or row.state in TO_BE_LOOKED_AT:
        here = Backup.of(manifest, sequence=row.sequence)
        row.backup_root, row.manifest_path = here.backup_root, here.manifest_path
        _add(row, manifest, found, now)
    else:
        found.known.append(name)


def _add(row: Backup, manifest: Manifest, found: Rescan, now: datetime) -> None:
    """Save the row; what it cannot be read back for is in there."""
    try:
        verify_backup(manifest.path)
        row.state, row.verified_at, row.error = row.state_if_whole, now, ""
        found.added.append(row.backup_id)
    except (VerificationError, EncryptionError) as error:
        found.damaged[row.backup_id] = str(error)
        says_nothing = isinstance(error, BackupUnreadableError | EncryptionError)
        if row.pk is None or not says_nothing:
            row.state, row.error = Backup.State.FAILED, str(error)
    row.save()
    log.info("backup_found", extra={"backup_id": row.backup_id, "state": row.state})


def _is_elsewhere(row: Backup, path: Path) -> bool:
    """Whether the row is about another place, where the backup still is: here is a copy of it."""
    return row.manifest_file != path and row.manifest_file.exists()


def _note_damage(row: Backup | None, error: str, path: Path) -> None:
    if row is not None and not _is_elsewhere(row, path):
        Backup.objects.filter(pk=row.pk).update(state=Backup.State.FAILED, error=error)


def _look_for_missing(rows: dict[str, Backup], there: set[str], found: Rescan) -> None:
    for name, row in rows.items():
        if name not in there and row.state != Backup.State.REMOVED:
            found.missing.append(name)
            _note_damage(row, f"{printable(str(row.directory))!r} is not there", row.manifest_file)


def _follow_chain(manifests: dict[str, Manifest], rows: dict[str, Backup], found: Rescan) -> None:
    """Each manifest names the one before it by its hash: a rewritten or removed one shows."""
    for name, manifest in manifests.items():
        before = manifest.header.previous_id
        if before is None:
            continue
        there, known = manifests.get(before), rows.get(before)
        recorded = there.sha256 if there else known.manifest_sha256 if known else None
        if recorded is None and before not in found.damaged:
            found.gone[name] = f"{before}, before it, is not there, and nobody knows of it"
        elif recorded is not None and recorded != manifest.header.previous_sha256:
            found.broken_chain[name] = f"{before}, before it, is not what it was then"
