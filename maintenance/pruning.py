"""Bounds the number of backups by the keeping policy, and says beforehand what it would do.

Never the last verified copy, what is held, or a deleted file's only copy but by its own rule.
"""

import logging
from collections import defaultdict
from datetime import datetime

from django.db import transaction

from maintenance.errors import ManifestError
from maintenance.layout import backup_names, discard
from maintenance.locks import unless_read
from maintenance.manifest import Manifest, Purpose
from maintenance.models import Backup, BackupHold, BackupQuerySet
from maintenance.roots import Roots
from retention.files import BackedUpFile, FoundFile
from retention.journal import Warrant, conclude_deletions, plan_deletions, settle_deletions
from retention.keeping import Judgement, KeepingPolicy, StoredBackup

log = logging.getLogger(__name__)
LET_GO = "let go by the keeping policy"


def prune_backups(roots: Roots, policy: KeepingPolicy, *, now: datetime) -> list[Backup]:
    """Remove the backups of this dataset that `policy` lets go; return their rows.

    Each leaves a Deletion. The caller holds the lock of the roots.
    """
    _settle(roots, now)
    _note_what_is_due(roots, policy, now)
    going = [row for row, judgement in judged_backups(roots, policy, now=now) if judgement.goes]
    return [row for row in going if _remove(row, roots, now)]


def _note_what_is_due(roots: Roots, policy: KeepingPolicy, now: datetime) -> None:
    """Keep since when each only copy is due; a clock that was set back begins anew."""
    for row in _backups(roots).filter(purpose=Purpose.EXPIRED):
        is_due = policy.is_long_ago(_facts_of(row, now), now)
        known = row.due_since is not None and row.due_since <= now
        if is_due != known:
            row.note(due_since=now if is_due else None)


def judged_backups(
    roots: Roots, policy: KeepingPolicy, *, now: datetime
) -> list[tuple[Backup, Judgement]]:
    """Return every backup of this dataset in this backup root, newest first, with its judgement.

    The rules hold for archives, for trees and for trees of a part each: none stands for another.
    """
    rows = {row.backup_id: row for row in _backups(roots)}
    kinds: dict[tuple[str, bool], list[StoredBackup]] = defaultdict(list)
    for row in rows.values():
        kinds[row.strategy, row.is_partial].append(_facts_of(row, now))
    judged = [one for kind in kinds.values() for one in policy.judge(kind, now=now)]
    judged.sort(key=lambda judgement: judgement.backup.sequence, reverse=True)
    return [(rows[judgement.backup.backup_id], judgement) for judgement in judged]


def _backups(roots: Roots) -> BackupQuerySet:
    below = Backup.objects.below(roots.backup).of(roots.dataset)
    return below.present().prefetch_related("holds")


def _facts_of(row: Backup, now: datetime) -> StoredBackup:
    held = [str(hold) for hold in row.holds.all() if hold.lasts(now)]
    return StoredBackup(
        backup_id=row.backup_id,
        sequence=row.sequence,
        created_at=row.created_at,
        intact=row.is_intact,
        only_copy=row.purpose == Purpose.EXPIRED,
        due_since=row.due_since,
        held="; ".join(held),
    )


def _settle(roots: Roots, now: datetime) -> None:
    """Finish what a crash interrupted: a backup that lost its name is removed."""
    gone = settle_deletions(roots.backup, at=now)
    Backup.objects.filter(backup_id__in=gone).update(state=Backup.State.REMOVED)


def _remove(row: Backup, roots: Roots, now: datetime) -> bool:
    if any(hold.lasts(now) for hold in BackupHold.objects.filter(backup=row)):  # placed since
        _keep(row, "somebody holds it")
        return False
    with unless_read(row.directory) as free:
        if not free:
            _keep(row, "somebody reads it")
            return False
        if not row.directory.exists():
            if not any(backup_names(roots.backup)):
                _keep(row, "nothing is in its root: is that mounted?")
                return False
        elif not _is_what_its_row_says(row, roots):
            return False
        try:
            _discard(row, roots, now)
        except OSError as error:  # one that cannot go does not stop the rest
            _keep(row, f"it cannot be removed: {error.strerror}")
            return False
    log.info("backup_removed", extra={"backup_id": row.backup_id, "purpose": row.purpose})
    return True


def _discard(row: Backup, roots: Roots, now: datetime) -> None:
    warrant = Warrant(backup_id="", reason=LET_GO, at=now)
    as_file = BackedUpFile(FoundFile(row.backup_id, row.stored_bytes, 0, 0), row.archive_sha256)
    planned = plan_deletions([as_file], root=roots.backup, warrant=warrant)
    if row.directory.exists():
        discard(row.directory)
    with transaction.atomic():
        conclude_deletions(planned, kept_paths=(), at=now)
        row.state = Backup.State.REMOVED
        row.save(update_fields=["state"])


def _is_what_its_row_says(row: Backup, roots: Roots) -> bool:
    """Ask the manifest itself: a row may be wrong, and the copy of a deleted file must stay."""
    try:
        header = Manifest.read(row.manifest_file).header
        stated = (header.backup_id, header.purpose, row.directory)
        if stated == (row.backup_id, row.purpose, roots.backup / row.backup_id):
            return True
        reason = "its manifest says another id or purpose than its row, or lies elsewhere"
    except ManifestError as error:
        reason = str(error)
    _keep(row, reason)
    return False


def _keep(row: Backup, reason: str) -> None:
    log.warning("backup_kept", extra={"backup_id": row.backup_id, "reason": reason})
