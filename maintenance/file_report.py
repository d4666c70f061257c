"""What the second maintenance path reports, in the shape of SPEC E4."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retention.files import Kept, printable


@dataclass(frozen=True, kw_only=True)
class BackupResult:
    """Whether there is a verified backup, and where; else `error` says what was in the way."""

    success: bool
    backup_root: str
    manifest_path: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that the policy lets go, relative to the data root, and why."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class CleanupResult:
    """The paths that were deleted, and the candidates that were not, with the reason of each."""

    success: bool
    deleted: Sequence[str] = ()
    skipped: Sequence[Kept] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class MaintenanceReport:
    """The report of one run."""

    backup: BackupResult
    candidates: Sequence[Candidate]
    cleanup: CleanupResult

    @property
    def failure(self) -> str:
        """Why it failed, in words; '' where it did not."""
        if not self.backup.success:
            return f"nothing was deleted: {self.backup.error}"
        if not self.cleanup.success:
            return f"{len(self.cleanup.deleted)} files were deleted, then: {self.cleanup.error}"
        return ""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON says it; paths are `printable`."""
        return {
            "backup": {
                "success": self.backup.success,
                "backup_root": printable(self.backup.backup_root),
                "manifest_path": self.backup.manifest_path and printable(self.backup.manifest_path),
                "error": self.backup.error,
            },
            "candidates": [_named(item) for item in self.candidates],
            "cleanup": {
                "success": self.cleanup.success,
                "deleted": [printable(path) for path in self.cleanup.deleted],
                "skipped": [_named(item) for item in self.cleanup.skipped],
                "error": self.cleanup.error,
            },
        }


def _named(item: Candidate | Kept) -> dict[str, str]:
    return {"path": printable(item.path), "reason": item.reason}
