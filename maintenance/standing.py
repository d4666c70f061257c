"""The standing job `backup_maintenance`: copy the dataset if it is time, let go what expired."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from maintenance.copies import copy_backups
from maintenance.errors import MaintenanceFailedError, RootsError
from maintenance.locks import maintenance_lock
from maintenance.models import Backup, current_keeping
from maintenance.outcome import MaintenanceResult, failure_in_words
from maintenance.pruning import prune_backups
from maintenance.roots import checked_roots
from maintenance.runner import run_maintenance_automation
from maintenance.snapshot import SNAPSHOT_EVERY, NoSnapshot, back_up_dataset
from retention.files import printable
from retention.models import current_policy

KEPT_SHOWN = 20  # a run's result is small; the command and the log tell the rest


def back_up_and_maintain(*, snapshot_every: timedelta = SNAPSHOT_EVERY) -> dict[str, Any]:
    """Run SPEC E3 on DATASET_ROOT; before it, copy all of it if that is due and it changed.

    After it, copy what is new to OPS_BACKUP_COPY_URL, if that is set. Returns `{"snapshot": backup
    id or None, "no_snapshot_because": "" or words, "removed_snapshots": n, "copied": n,
    "maintenance": E3 with its first 20 kept files, or None}`. Raises MaintenanceError, PolicyError:
    a failure is the run's failure.
    """
    now = datetime.now(UTC)
    if _is_waiting_for_data():
        return _summary(NoSnapshot.NO_DATA, removed=0, maintenance=None)
    policy = current_policy()
    snapshot, removed = _snapshot(now, snapshot_every)
    result = run_maintenance_automation(
        settings.DATASET_ROOT, settings.BACKUP_ROOT, policy, now=now
    )
    if result["status"] == "backup_failed":
        raise MaintenanceFailedError(failure_in_words(result))
    return _summary(snapshot, removed=removed, maintenance=shortened(result), copied=_copied(now))


def _is_waiting_for_data() -> bool:
    """Tell a fresh installation from a dataset that was there and is gone (an unmounted disk)."""
    if settings.DATASET_ROOT.exists():
        return False
    root = settings.DATASET_ROOT.resolve()
    if Backup.objects.filter(source_root=printable(str(root))).exists():
        raise RootsError(f"dataset root {str(root)!r} is gone: mount it, or restore a backup")
    return True


def _snapshot(now: datetime, every: timedelta) -> tuple[Backup | NoSnapshot, int]:
    roots = checked_roots(settings.DATASET_ROOT, settings.BACKUP_ROOT)
    keeping = current_keeping()
    with maintenance_lock(roots):
        snapshot = back_up_dataset(roots, now=now, every=every)
        removed = prune_backups(roots, keeping, now=now) if keeping else []
    return snapshot, len(removed)


def _copied(now: datetime) -> int:
    if not settings.OPS_BACKUP_COPY_URL:
        return 0
    copied = copy_backups(now=now)
    if copied.failed:
        raise MaintenanceFailedError(copied.in_words())
    return len(copied.backups)


def _summary(
    snapshot: Backup | NoSnapshot,
    *,
    removed: int,
    maintenance: dict[str, Any] | None,
    copied: int = 0,
) -> dict[str, Any]:
    return {
        "snapshot": snapshot.backup_id if isinstance(snapshot, Backup) else None,
        "no_snapshot_because": "" if isinstance(snapshot, Backup) else snapshot.value,
        "removed_snapshots": removed,
        "copied": copied,
        "maintenance": maintenance,
    }


def shortened(result: MaintenanceResult) -> dict[str, Any]:
    """Return a result with its first 20 kept files only, and how many there are."""
    kept = result["deletion"]["kept"]
    deletion = {**result["deletion"], "kept": kept[:KEPT_SHOWN], "kept_files": len(kept)}
    return {**result, "deletion": deletion}
