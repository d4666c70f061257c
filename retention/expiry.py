"""Finds what a policy lets go."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from retention.files import FoundFile
from retention.policies import DataRetentionPolicy


@dataclass
class Findings:
    """What a scan found: all files, those that no word of the policy names, and the expired."""

    scanned_files: int = 0
    unclassified_files: int = 0
    expired: list[FoundFile] = field(default_factory=list)


def find_expired(
    files: Iterable[FoundFile], policy: DataRetentionPolicy, *, now: datetime
) -> Findings:
    """Return which of `files` are too old for `policy` at `now`; raises what the scan raises."""
    findings = Findings()
    for found in files:
        findings.scanned_files += 1
        if policy.category_of(found.path) is None:
            findings.unclassified_files += 1
        elif policy.is_expired(found.path, found.mtime_ns, now=now):
            findings.expired.append(found)
    return findings
