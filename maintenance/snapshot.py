"""Copies the whole dataset, unless the last verified copy is recent or already what is there."""

from datetime import datetime, timedelta
from enum import StrEnum
from itertools import zip_longest

from maintenance.backup import BackupOrder, make_backup
from maintenance.compression import Compression
from maintenance.errors import ManifestError
from maintenance.manifest import Manifest, Purpose, Strategy
from maintenance.models import Backup
from maintenance.roots import Roots
from maintenance.sharing import tree_to_link
from maintenance.vouching import StillTimes
from retention.scanner import DatasetScanner

# A dataset that is written to all the time would otherwise be copied at every run.
SNAPSHOT_EVERY = timedelta(hours=1)


class NoSnapshot(StrEnum):
    """Why none was made."""

    NO_DATA = "there is no dataset yet"
    RECENT = "the last snapshot is recent"
    UNCHANGED = "nothing changed since the last snapshot"


def back_up_dataset(
    roots: Roots,
    *,
    now: datetime,
    every: timedelta = SNAPSHOT_EVERY,
    strategy: Strategy = Strategy.ARCHIVE,
    compression: Compression = Compression.ZSTD,
) -> Backup | NoSnapshot:
    """Return a new verified snapshot, or why none is needed; raise BackupError.

    One is made if the last is not intact, or is `every` old and the dataset changed since. The
    caller holds the lock of the roots.
    """
    if _odd_one_is_recent(roots, strategy, now - every, now):
        return NoSnapshot.RECENT
    last = last_snapshot(roots, strategy)
    if last is not None and last.is_intact:
        # One from the future, made before the clock was set back, is not recent.
        if timedelta(0) <= now - last.created_at < every:
            return NoSnapshot.RECENT
        if _is_unchanged(roots, last):
            return NoSnapshot.UNCHANGED
    scanner = DatasetScanner(roots.dataset, exclude=roots.backup)
    order = BackupOrder(
        roots=roots,
        purpose=Purpose.SNAPSHOT,
        now=now,
        strategy=strategy,
        compression=compression,
        base=tree_to_link(roots) if strategy is Strategy.FILE else None,
    )
    return make_backup(scanner, order)


def _odd_one_is_recent(roots: Roots, strategy: Strategy, since: datetime, now: datetime) -> bool:
    """Whether a suspect one is as recent: it counts for nothing, but its like is made no faster."""
    snapshots = Backup.objects.below(roots.backup).snapshots_of(roots.dataset).present()
    odd = snapshots.filter(strategy=strategy).exclude(anomaly="")
    return odd.filter(created_at__gt=since, created_at__lte=now).exists()


def last_snapshot(roots: Roots, strategy: Strategy = Strategy.ARCHIVE) -> Backup | None:
    """Return the newest verified snapshot of this dataset, stored so, in this backup root."""
    snapshots = Backup.objects.below(roots.backup).snapshots_of(roots.dataset)
    return snapshots.filter(strategy=strategy).verified().newest_first().first()


def _is_unchanged(roots: Roots, last: Backup) -> bool:
    """Return whether path, size, mtime and inode of every file are those of the `last` snapshot."""
    try:
        manifest = Manifest.read(last.manifest_file)
        if manifest.sha256 != last.manifest_sha256:
            return False
        still = StillTimes.of(manifest)
        pairs = zip_longest(DatasetScanner(roots.dataset, exclude=roots.backup), manifest.files())
        return all(
            found and listed and found == listed.found and still.has(found.mtime_ns)
            for found, listed in pairs
        )
    except ManifestError:
        return False
