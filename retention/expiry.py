"""Finds what a policy lets go."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from retention.files import FoundFile
from retention.policies import DataRetentionPolicy


class FileList(Protocol):
    """What takes the files one by one, a list or a `Spool`."""

    def append(self, found: FoundFile, /) -> None:
        """Add a file at the end."""

    def __iter__(self) -> Iterator[FoundFile]: ...

    def __len__(self) -> int: ...


def _no_files() -> FileList:
    files: list[FoundFile] = []
    return files


@dataclass
class Findings:
    """What a scan found: all files, those that no word of the policy names, and the expired."""

    scanned_files: int = 0
    unclassified_files: int = 0
    expired: FileList = field(default_factory=_no_files)


def find_expired(
    files: Iterable[FoundFile],
    policy: DataRetentionPolicy,
    *,
    now: datetime,
    into: FileList | None = None,
) -> Findings:
    """Return which of `files` are too old for `policy` at `now`; raises what the scan raises."""
    findings = Findings(expired=[] if into is None else into)
    is_expired = policy.judge(now)
    for found in files:
        findings.scanned_files += 1
        expired = is_expired(found.path, found.mtime_ns)
        if expired is None:
            findings.unclassified_files += 1
        elif expired:
            findings.expired.append(found)
    return findings
