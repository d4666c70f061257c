"""Says what maintenance would do, and does nothing."""

import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from maintenance.backup import require_trees_possible
from maintenance.errors import MaintenanceError
from maintenance.manifest import Purpose
from maintenance.models import Backup, current_keeping
from maintenance.pruning import judged_backups
from maintenance.roots import Roots, resolved_roots
from retention.errors import RetentionError
from retention.expiry import find_expired
from retention.files import FoundFile, printable
from retention.globs import Globs
from retention.keeping import Judgement, KeepingPolicy
from retention.models import current_file_retention, current_policy
from retention.policies import DataRetentionPolicy, FileRetentionPolicy
from retention.scanner import DatasetScanner

Root = str | os.PathLike[str]


def preview_policies(
    dataset_root: Root,
    backup_root: Root,
    *,
    now: datetime,
    keeping: Callable[[], KeepingPolicy | None] = current_keeping,
) -> dict[str, Any]:
    """Return what the enabled policies would remove: `backups`, `files` and `file_retention`.

    The last is None while nobody has enabled one: no job goes by the default. What cannot be
    looked at holds its `error` alone, and the others are told.
    """
    by_age = current_file_retention()
    told: dict[str, Any] = {
        "backups": _or_error(
            lambda: preview_backups(dataset_root, backup_root, keeping(), now=now)
        ),
        "files": _or_error(
            lambda: preview_maintenance(dataset_root, backup_root, current_policy(), now=now)
        ),
        "file_retention": None,
    }
    if by_age.pk is not None:
        data_root = by_age.data_root or dataset_root
        told["file_retention"] = _or_error(
            lambda: preview_files(
                data_root, backup_root, by_age.as_policy(), by_age.backed_up, now=now
            )
        )
    return told


def _or_error(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return look()
    except (MaintenanceError, RetentionError) as error:
        return {"error": str(error)}


def preview_backups(
    dataset_root: Root, backup_root: Root, keeping: KeepingPolicy | None, *, now: datetime
) -> dict[str, Any]:
    """Return which backups would go and why each other stays; `keeping` None lets none go.

    The gaps are in seconds: the longest time between two whole copies now, and what would be left;
    None with fewer than two. Raises RootsError.
    """
    roots = resolved_roots(dataset_root, backup_root)
    judged = judged_backups(roots, keeping, now=now) if keeping else []
    going = [row for row, judgement in judged if judgement.goes]
    copies = [row for row, _ in judged if row.purpose == Purpose.SNAPSHOT and row.is_intact]
    return {
        "enabled": keeping is not None,
        "backups": [_judged(row, judgement) for row, judgement in judged],
        "going": len(going),
        "going_bytes": sum(row.stored_bytes for row in going),
        "gap_seconds": _longest_gap(copies),
        "gap_after_seconds": _longest_gap([row for row in copies if row not in going]),
    }


def gap_in_words(preview: dict[str, Any]) -> str:
    """Say how the longest time between two copies would grow; '' if it would not."""
    before, after = preview.get("gap_seconds"), preview.get("gap_after_seconds")
    if not preview.get("going") or before is None or after is None or before == after:
        return ""
    return f"the longest time between two copies would grow from {_time(before)} to {_time(after)}"


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))).removesuffix(", 0:00:00")


def preview_maintenance(
    dataset_root: Root, backup_root: Root, policy: DataRetentionPolicy, *, now: datetime
) -> dict[str, Any]:
    """Return the figures of SPEC E3 with each candidate's path, category and size.

    `unclassified_files` counts what no word of the policy names. Raises RootsError, RetentionError.
    """
    roots = resolved_roots(dataset_root, backup_root)
    scanner = DatasetScanner(roots.dataset, exclude=roots.backup)
    findings = find_expired(scanner, policy, now=now)
    expired = [(found, str(policy.category_of(found.path))) for found in findings.expired]
    return _figures(roots, scanner, findings.scanned_files, expired, why="category") | {
        "unclassified_files": findings.unclassified_files,
        "beyond_the_policy": f"{findings.unclassified_files} are named by no word of the policy",
    }


def preview_files(
    data_root: Root,
    backup_root: Root,
    policy: FileRetentionPolicy,
    include_backup_globs: Sequence[str] | None,
    *,
    now: datetime,
) -> dict[str, Any]:
    """Return the same of SPEC E4; what the globs leave out of the backup is no candidate."""
    roots = resolved_roots(data_root, backup_root)
    require_trees_possible()
    scanner = DatasetScanner(roots.dataset, exclude=roots.backup)
    chosen = Globs(["**"] if include_backup_globs is None else include_backup_globs)
    scanned = left_out = 0
    expired: list[tuple[FoundFile, str]] = []
    for found in scanner:
        scanned += 1
        if not policy.is_expired(found.path, found.mtime_ns, now=now):
            continue
        if chosen.match(found.path):
            expired.append((found, f"older than {policy.ttl_days} days"))
        else:
            left_out += 1
    return _figures(roots, scanner, scanned, expired, why="reason") | {
        "not_backed_up": left_out,
        "beyond_the_policy": f"{left_out} more are too old, and not among the files to back up",
    }


def _figures(
    roots: Roots,
    scanner: DatasetScanner,
    scanned: int,
    expired: Sequence[tuple[FoundFile, str]],
    *,
    why: str,
) -> dict[str, Any]:
    candidates = [
        {"path": printable(found.path), why: said, "size_bytes": found.size_bytes}
        for found, said in expired
    ]
    return {
        "dataset_root": printable(str(roots.dataset)),
        "backup_root": printable(str(roots.backup)),
        "retention": {"scanned_files": scanned, "expired_candidates": len(candidates)},
        "expired_bytes": sum(found.size_bytes for found, _ in expired),
        "skipped": [
            {"path": printable(item.path), "reason": item.reason} for item in scanner.skipped
        ],
        "candidates": candidates,
    }


def _judged(row: Backup, judgement: Judgement) -> dict[str, Any]:
    return {
        "backup_id": row.backup_id,
        "strategy": row.strategy,
        "purpose": row.purpose,
        "created_at": row.created_at.isoformat(),
        "stored_bytes": row.stored_bytes,
        "goes": judgement.goes,
        "stays_because": list(judgement.reasons),
    }


def _longest_gap(copies: Sequence[Backup]) -> float | None:
    times = sorted(row.created_at for row in copies)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    return max(gaps, default=None)
