"""Writes down every deletion before it happens, and settles what a crash left open."""

import logging
import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction

from retention.errors import PathEscapeError
from retention.files import BackedUpFile, FoundFile, from_printable, printable
from retention.models import Deletion
from retention.removal import put_back
from retention.rooted import open_parent, open_root, require_plain

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Warrant:
    """Why files may go: the verified backup that holds them ('' = none), the reason, the time."""

    backup_id: str
    reason: str
    at: datetime


def plan_deletions(
    files: Sequence[BackedUpFile], *, root: Path, warrant: Warrant
) -> list[Deletion]:
    """Record the intention to delete `files` of `root`; raise DatabaseError if that fails."""
    with transaction.atomic():
        return Deletion.objects.bulk_create(
            Deletion(
                root=printable(str(root)),
                path=printable(file.path),
                size_bytes=file.found.size_bytes,
                sha256=file.sha256,
                fingerprint=file.found.fingerprint,
                backup_id=warrant.backup_id,
                reason=warrant.reason,
                planned_at=warrant.at,
            )
            for file in files
        )


def conclude_deletions(
    rows: Sequence[Deletion], *, kept_paths: Collection[str], at: datetime
) -> None:
    """Confirm the planned `rows`, and withdraw those whose path was kept."""
    kept = {printable(path) for path in kept_paths}
    with transaction.atomic():
        withdrawn = [row.pk for row in rows if row.path in kept]
        done = [row.pk for row in rows if row.path not in kept]
        Deletion.objects.filter(pk__in=withdrawn).delete()
        Deletion.objects.filter(pk__in=done).update(deleted_at=at)


def settle_deletions(root: Path, *, at: datetime) -> list[str]:
    """Conclude what a crash left open in `root`; return the paths that turned out to be gone.

    Call it only while holding the root's lock.
    """
    rows = list(Deletion.objects.filter(root=printable(str(root)), deleted_at=None))
    if not rows or not _holds_anything(root):  # a disk that is not mounted tells nothing
        return []
    with open_root(root) as handle:
        rows = [row for row in rows if _is_readable(row)]
        for row in rows:
            put_back(handle, from_printable(row.path))
        present = {row.path for row in rows if _is_present(handle, row)}
    conclude_deletions(rows, kept_paths=[from_printable(path) for path in present], at=at)
    return [from_printable(row.path) for row in rows if row.path not in present]


def _holds_anything(root: Path) -> bool:
    with open_root(root) as handle, os.scandir(handle) as entries:
        return any(True for _ in entries)


def _is_readable(row: Deletion) -> bool:
    """Pass over what somebody else wrote into the journal: one bad row stops nothing."""
    try:
        require_plain(from_printable(row.path))
    except (ValueError, PathEscapeError) as error:
        log.warning("deletion_unreadable", extra={"row": row.pk, "reason": str(error)})
        return False
    return True


def _is_present(root_handle: int, row: Deletion) -> bool:
    """Return whether the very file (or any directory, where a backup was meant) is still there."""
    path = from_printable(row.path)
    try:
        with open_parent(root_handle, path) as (parent, name):
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # it cannot be seen, so nothing says that it is gone
    same = FoundFile.from_status(path, status).fingerprint == row.fingerprint
    return stat.S_ISDIR(status.st_mode) or same
