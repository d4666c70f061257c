"""The standing job `backup_maintenance`: copy the whole dataset, then let go what expired."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from maintenance.errors import MaintenanceFailedError, RootsError
from maintenance.locks import maintenance_lock
from maintenance.models import Backup
from maintenance.outcome import MaintenanceResult
from maintenance.pruning import prune_snapshots
from maintenance.roots import checked_roots
from maintenance.runner import run_maintenance_automation
from maintenance.snapshot import back_up_dataset
from retention.files import printable
from retention.keeping import KeepingPolicy
from retention.models import current_policy

KEPT_SHOWN = 20  # a run's result is small; the command and the log tell the rest


def back_up_and_maintain() -> dict[str, Any]:
    """Back up DATASET_ROOT into BACKUP_ROOT if it changed, then run SPEC E3 on it.

    Returns `{"snapshot": backup id or None, "removed_snapshots": n, "maintenance": E3 with its
    first 20 kept files}`. Raises MaintenanceError, PolicyError: a failure is the run's failure.
    """
    now = datetime.now(UTC)
    if _is_waiting_for_data():
        return {"snapshot": None, "removed_snapshots": 0, "maintenance": None}
    policy = current_policy()
    snapshot, removed = _snapshot(now)
    result = run_maintenance_automation(
        settings.DATASET_ROOT, settings.BACKUP_ROOT, policy, now=now
    )
    if result["status"] == "backup_failed":
        raise MaintenanceFailedError(result["error"])
    return {
        "snapshot": snapshot.backup_id if snapshot else None,
        "removed_snapshots": removed,
        "maintenance": _shortened(result),
    }


def _is_waiting_for_data() -> bool:
    """Tell a fresh installation from a dataset that was there and is gone (an unmounted disk)."""
    if settings.DATASET_ROOT.exists():
        return False
    root = settings.DATASET_ROOT.resolve()
    if Backup.objects.filter(source_root=printable(str(root))).exists():
        raise RootsError(f"dataset root {str(root)!r} is gone: mount it, or restore a backup")
    return True


def _snapshot(now: datetime) -> tuple[Backup | None, int]:
    roots = checked_roots(settings.DATASET_ROOT, settings.BACKUP_ROOT)
    with maintenance_lock(roots):
        snapshot = back_up_dataset(roots, now=now)
        removed = prune_snapshots(roots, KeepingPolicy(), now=now)
    return snapshot, len(removed)


def _shortened(result: MaintenanceResult) -> dict[str, Any]:
    kept = result["deletion"]["kept"]
    deletion = {**result["deletion"], "kept": kept[:KEPT_SHOWN], "kept_files": len(kept)}
    return {**result, "deletion": deletion}
