"""Makes one backup of a directory, as the maintenance paths do, and says what it took."""

import resource
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from maintenance.backup import BackupOrder, make_backup
from maintenance.manifest import Manifest, Purpose, Strategy
from maintenance.models import Backup
from maintenance.roots import checked_roots
from maintenance.verify import verify_backup
from retention.scanner import DatasetScanner

KIB = 1024
MEGABYTE = 1_000_000


def run(dataset: str, backups: str, strategy: str) -> dict[str, Any]:
    """Return the seconds of the backup with its verification, of a second verification, and MB.

    A tree links what the newest tree before holds.
    """
    roots = checked_roots(dataset, backups)
    before = Backup.objects.trees().newest_first().first()
    base = Manifest.read(before.manifest_file) if before and strategy == Strategy.FILE else None
    order = BackupOrder(
        roots=roots,
        purpose=Purpose.SNAPSHOT,
        now=datetime.now(UTC) + timedelta(hours=1 + Backup.objects.count()),
        strategy=Strategy(strategy),
        base=base,
    )
    began = time.monotonic()
    made = make_backup(DatasetScanner(roots.dataset), order)
    whole = time.monotonic()
    verify_backup(made.manifest_file)
    verified = time.monotonic()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB / MEGABYTE
    return {
        "backup": whole - began,
        "verify": verified - whole,
        "megabytes": peak,
    }
