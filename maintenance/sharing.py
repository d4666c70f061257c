"""What trees that link each other's copies share: one damaged copy makes all of them suspect."""

import logging
import os
from contextlib import suppress

from maintenance.manifest import TREE_NAME
from maintenance.models import Backup
from retention.errors import RetentionError
from retention.files import printable
from retention.rooted import open_file, open_parent, open_root

log = logging.getLogger(__name__)


def suspect_sharers(damaged: Backup, path: str) -> list[Backup]:
    """Mark the other trees that have the same copy of the file at `path`; return them."""
    identity = _identity(damaged, path)
    if identity is None:
        return []
    others = Backup.objects.filter(backup_root=damaged.backup_root).trees().present()
    sharers = [
        other for other in others.exclude(pk=damaged.pk) if _identity(other, path) == identity
    ]
    error = f"{printable(path)!r} is one copy with that of {damaged.backup_id}, which is damaged"
    for other in sharers:
        log.error("backup_suspect", extra={"backup_id": other.backup_id, "reason": error})
    Backup.objects.filter(pk__in=[other.pk for other in sharers]).update(
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
