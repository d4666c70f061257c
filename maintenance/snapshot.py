"""Copies the whole dataset, unless the last verified copy already is what is there."""

from datetime import datetime, timedelta
from itertools import zip_longest

from maintenance.backup import BackupOrder, make_backup
from maintenance.errors import ManifestError
from maintenance.manifest import Manifest, Purpose
from maintenance.models import Backup
from maintenance.roots import Roots
from retention.files import BackedUpFile, FoundFile
from retention.policies import ns_since_epoch
from retention.scanner import DatasetScanner

# A file written within one tick of the clock after it was read keeps its mtime and its size.
CLOCK_TICK = timedelta(seconds=2)


def back_up_dataset(roots: Roots, *, now: datetime) -> Backup | None:
    """Return a new verified snapshot, None if nothing changed since the last; raise BackupError.

    The caller holds the lock of the roots.
    """
    if is_unchanged(roots):
        return None
    scanner = DatasetScanner(roots.dataset, exclude=roots.backup)
    return make_backup(scanner, BackupOrder(roots=roots, purpose=Purpose.SNAPSHOT, now=now))


def is_unchanged(roots: Roots) -> bool:
    """Return whether path, size, mtime and inode of every file are those of the last snapshot."""
    last = last_snapshot(roots)
    if last is None or not last.is_intact:
        return False
    try:
        manifest = Manifest.read(last.manifest_file)
        if manifest.sha256 != last.manifest_sha256:
            return False
        pairs = zip_longest(DatasetScanner(roots.dataset, exclude=roots.backup), manifest.files())
        return all(_is_same(manifest, found, listed) for found, listed in pairs)
    except ManifestError:
        return False


def last_snapshot(roots: Roots) -> Backup | None:
    """Return the newest verified snapshot of this dataset in this backup root."""
    snapshots = Backup.objects.below(roots.backup).snapshots_of(roots.dataset)
    return snapshots.verified().newest_first().first()


def _is_same(manifest: Manifest, found: FoundFile | None, listed: BackedUpFile | None) -> bool:
    if found is None or listed is None or found != listed.found:
        return False
    since = ns_since_epoch(manifest.header.created_at - CLOCK_TICK)
    until = ns_since_epoch(manifest.totals.finished_at)
    return not since <= found.mtime_ns <= until
