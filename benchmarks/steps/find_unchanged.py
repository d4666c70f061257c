"""Asks for a tree of what the newest tree holds unchanged, as `manage.py backup` does."""

import time
from datetime import UTC, datetime, timedelta

from maintenance.manifest import Strategy
from maintenance.models import Backup
from maintenance.roots import checked_roots
from maintenance.snapshot import NoSnapshot, back_up_dataset


def run(dataset: str, backups: str) -> dict[str, float]:
    """Return the seconds in which no change was found."""
    roots = checked_roots(dataset, backups)
    now = datetime.now(UTC) + timedelta(hours=1 + Backup.objects.count())
    began = time.monotonic()
    made = back_up_dataset(roots, now=now, every=timedelta(0), strategy=Strategy.FILE)
    took = time.monotonic() - began
    assert made is NoSnapshot.UNCHANGED, made  # noqa: S101 a measurement of another thing is none
    return {"seconds": took}
