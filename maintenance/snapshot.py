"""Copies the whole dataset, unless the last verified copy is recent or already what is there."""

import time
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import zip_longest

from maintenance.backup import BackupOrder, make_backup
from maintenance.compression import Compression
from maintenance.errors import ManifestError
from maintenance.manifest import Purpose, Strategy
from maintenance.models import Backup
from maintenance.roots import Roots
from maintenance.sharing import tree_to_link
from maintenance.vouching import StillTimes, is_unchanged
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
    began = time.monotonic()
    odd = _newest_odd(roots, strategy)
    if odd is not None:  # it counts for nothing, but its like is made no faster, and not again
        if now - every < odd.created_at <= now:
            return NoSnapshot.RECENT
        if _is_unchanged(roots, odd):
            return NoSnapshot.UNCHANGED
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
        began=began,
    )
    return make_backup(scanner, order)


def _newest_odd(roots: Roots, strategy: Strategy) -> Backup | None:
    """Return the newest that waits to be accepted."""
    snapshots = Backup.objects.below(roots.backup).snapshots_of(roots.dataset).present()
    return snapshots.filter(strategy=strategy).exclude(anomaly="").newest_first().first()


def last_snapshot(roots: Roots, strategy: Strategy = Strategy.ARCHIVE) -> Backup | None:
    """Return the newest verified snapshot of this dataset, stored so, in this backup root."""
    snapshots = Backup.objects.below(roots.backup).snapshots_of(roots.dataset)
    return snapshots.filter(strategy=strategy).verified().newest_first().first()


def _is_unchanged(roots: Roots, last: Backup) -> bool:
    """Return whether every file is, as far as `stat` tells, what the `last` snapshot holds."""
    try:
        manifest = last.read_manifest()
        still = StillTimes.of(manifest)
        walk = DatasetScanner(roots.dataset, exclude=roots.backup).walk()
        return all(
            live is not None
            and listed is not None
            and live[0] == listed.path
            and is_unchanged(listed, live[1], still)
            for live, listed in zip_longest(walk, manifest.files())
        )
    except ManifestError:
        return False
