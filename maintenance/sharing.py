"""What trees that link each other's copies share: one damaged copy makes all of them suspect."""

import logging
import os
from contextlib import suppress

from maintenance.errors import ManifestError
from maintenance.manifest import TREE_NAME, Manifest
from maintenance.models import Backup
from maintenance.roots import Roots
from retention.errors import RetentionError
from retention.files import printable
from retention.rooted import open_file, open_parent, open_root

log = logging.getLogger(__name__)


def tree_to_link(roots: Roots) -> Manifest | None:
    """Return the newest verified tree of this dataset, whose copies a new one may link."""
    trees = Backup.objects.below(roots.backup).of(roots.dataset).trees()
    row = trees.verified().newest_first().first()
    if row is None or not row.is_intact:
        return None
    try:
        return row.read_manifest()
    except ManifestError:
        return None


def suspect_sharers(damaged: Backup, path: str) -> list[Backup]:
    """Mark the other trees that have the same copy of the file at `path`; return them."""
    identity = _identity(damaged, path)
    if identity is None:
        return []
    others = Backup.objects.filter(backup_root=damaged.backup_root).trees().present()
    others = others.exclude(state=Backup.State.FAILED)
    sharers = [
        other for other in others.exclude(pk=damaged.pk) if _identity(other, path) == identity
    ]
    error = f"{printable(path)!r} is one copy with that of {damaged.backup_id}, which is damaged"
    for other in sharers:
        log.error("backup_suspect", extra={"backup_id": other.backup_id, "reason": error})
    others.filter(pk__in=[other.pk for other in sharers]).update(
        state=Backup.State.SUSPECT, error=error
    )
    return sharers


def _identity(backup: Backup, path: str) -> tuple[int, int] | None:
    with (
        suppress(OSError, RetentionError),
        open_root(backup.directory / TREE_NAME) as root,
        open_parent(root, path) as (parent, name),
        open_file(parent, name) as handle,
    ):
        status = os.fstat(handle)
        return status.st_dev, status.st_ino
    return None
