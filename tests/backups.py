"""Datasets and their backups, as tests make them."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from maintenance.backup import BackupOrder, make_backup
from maintenance.compression import Compression
from maintenance.manifest import Manifest, Purpose, Strategy
from maintenance.models import Backup
from maintenance.roots import Roots
from retention.scanner import DatasetScanner


def make_roots(directory: Path) -> Roots:
    """Return an empty dataset and an empty backup root."""
    roots = Roots(dataset=directory / "data", backup=directory / "backups")
    roots.dataset.mkdir()
    roots.backup.mkdir()
    return roots


def put(roots: Roots, path: str, content: bytes = b"x", *, days_old: float = 0) -> Path:
    """Write a file of the dataset that was last modified so long ago."""
    file = roots.dataset / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    modified = (datetime.now(UTC) - timedelta(days=days_old)).timestamp()
    os.utime(file, (modified, modified))
    return file


def newest_tree() -> Manifest | None:
    """Return what a new tree may link."""
    row = Backup.objects.trees().newest_first().first()
    return Manifest.read(row.manifest_file) if row else None


def back_up(
    roots: Roots,
    strategy: Strategy = Strategy.ARCHIVE,
    *,
    base: Manifest | None = None,
    now: datetime | None = None,
    compression: Compression = Compression.ZSTD,
) -> Backup:
    """Copy the dataset an hour later than the last time, so that its files have been still."""
    later = timedelta(hours=1 + Backup.objects.count())
    order = BackupOrder(
        roots=roots,
        purpose=Purpose.SNAPSHOT,
        now=now or datetime.now(UTC) + later,
        strategy=strategy,
        compression=compression,
        base=base,
    )
    return make_backup(DatasetScanner(roots.dataset, exclude=roots.backup), order)
