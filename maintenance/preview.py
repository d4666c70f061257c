"""Says what a maintenance run would do, and does nothing."""

import os
from datetime import datetime
from typing import Any

from maintenance.roots import resolved_roots
from retention.expiry import find_expired
from retention.files import printable
from retention.policies import DataRetentionPolicy
from retention.scanner import DatasetScanner


def preview_maintenance(
    dataset_root: str | os.PathLike[str],
    backup_root: str | os.PathLike[str],
    policy: DataRetentionPolicy,
    *,
    now: datetime,
) -> dict[str, Any]:
    """Return the figures of SPEC E3 with each candidate's path, category and size.

    `unclassified_files` counts what no word of the policy names. Raises RootsError, RetentionError.
    """
    roots = resolved_roots(dataset_root, backup_root)
    scanner = DatasetScanner(roots.dataset, exclude=roots.backup)
    findings = find_expired(scanner, policy, now=now)
    return {
        "dataset_root": printable(str(roots.dataset)),
        "backup_root": printable(str(roots.backup)),
        "retention": {
            "scanned_files": findings.scanned_files,
            "expired_candidates": len(findings.expired),
        },
        "unclassified_files": findings.unclassified_files,
        "skipped": [
            {"path": printable(item.path), "reason": item.reason} for item in scanner.skipped
        ],
        "candidates": [
            {
                "path": printable(found.path),
                "category": policy.category_of(found.path),
                "size_bytes": found.size_bytes,
            }
            for found in findings.expired
        ],
    }
