"""What a maintenance run reports, in the shape of SPEC E3."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypedDict

from maintenance.models import Backup
from retention.cleaner import CleanupReport
from retention.expiry import Findings
from retention.files import Kept, printable

Status = Literal["nothing_to_do", "backup_failed", "completed"]


class RetentionFigures(TypedDict):
    """What the scan counted."""

    scanned_files: int
    expired_candidates: int


class BackupFigures(TypedDict):
    """The backup that was made; `checksum` is the archive's SHA-256, `backup_at` ISO 8601."""

    archive_name: str
    record_count: int
    checksum: str
    backup_at: str


class KeptFile(TypedDict):
    """A candidate that was not deleted, and why."""

    path: str
    reason: str


class DeletionFigures(TypedDict):
    """What the cleanup did."""

    executed: bool
    deleted_files: int
    kept: list[KeptFile]


class MaintenanceResult(TypedDict):
    """The result of SPEC E3; `error` only where it failed. Paths are `printable`."""

    status: Status
    dataset_root: str
    backup_root: str
    retention: RetentionFigures
    backup: BackupFigures | None
    deletion: DeletionFigures
    error: NotRequired[str]


@dataclass
class Outcome:
    """What a run has come to so far."""

    dataset_root: str
    backup_root: str
    findings: Findings = field(default_factory=Findings)
    backup: Backup | None = None
    cleanup: CleanupReport | None = None
    unreadable: Sequence[Kept] = ()  # directories, of which nobody knows what has expired there
    error: str = ""

    @property
    def status(self) -> Status:
        """How it stands if nothing more happens."""
        if self.error:
            return "backup_failed"
        return "completed" if self.cleanup else "nothing_to_do"

    def as_result(self) -> MaintenanceResult:
        """Return the dictionary of SPEC E3."""
        result: MaintenanceResult = {
            "status": self.status,
            "dataset_root": printable(self.dataset_root),
            "backup_root": printable(self.backup_root),
            "retention": {
                "scanned_files": self.findings.scanned_files,
                "expired_candidates": len(self.findings.expired),
            },
            "backup": _backup_figures(self.backup),
            "deletion": _deletion_figures(self.cleanup, self.unreadable),
        }
        if self.error:
            result["error"] = self.error
        return result


def failure_in_words(result: MaintenanceResult) -> str:
    """Return the error of a run that failed, and what it had deleted until then."""
    deleted, backup = result["deletion"]["deleted_files"], result["backup"]
    if not deleted or backup is None:
        return f"nothing was deleted: {result['error']}"
    files = "1 file was" if deleted == 1 else f"{deleted} files were"
    return f"{files} deleted, which {backup['archive_name']} holds: {result['error']}"


def _backup_figures(backup: Backup | None) -> BackupFigures | None:
    if backup is None:
        return None
    return {
        "archive_name": backup.archive_name,
        "record_count": backup.file_count,
        "checksum": backup.archive_sha256,
        "backup_at": backup.created_at.isoformat(),
    }


def _deletion_figures(cleanup: CleanupReport | None, unreadable: Sequence[Kept]) -> DeletionFigures:
    done = cleanup or CleanupReport()
    kept: list[KeptFile] = [
        {"path": printable(item.path), "reason": item.reason} for item in (*done.kept, *unreadable)
    ]
    executed = cleanup is not None
    return {"executed": executed, "deleted_files": done.deleted_files, "kept": kept}
