"""The second maintenance path: copy the files as a tree, then delete what is too old (SPEC E4).

Copies that are linked from an earlier tree share its fate, so each is read once more, in this very
run, before the file that it stands for is deleted.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from django.db import DatabaseError

from maintenance.anomaly import require_none_waits
from maintenance.backup import BackupOrder, make_backup
from maintenance.errors import (
    BackupUnreadableError,
    MaintenanceError,
    ManifestError,
    VerificationError,
)
from maintenance.file_report import BackupResult, Candidate, CleanupResult, MaintenanceReport
from maintenance.holding import held_already
from maintenance.locks import maintenance_lock
from maintenance.manifest import Purpose, Strategy
from maintenance.models import Backup
from maintenance.roots import Roots, checked_roots
from maintenance.sharing import suspect_sharers, tree_to_link
from maintenance.vouching import Voucher, open_voucher
from retention.cleaner import RetentionCleaner
from retention.errors import RetentionError
from retention.files import BackedUpFile, FoundFile, Kept, Skipped, printable
from retention.globs import Globs
from retention.journal import Warrant, settle_deletions
from retention.policies import FileRetentionPolicy
from retention.rooted import Descent, open_file
from retention.scanner import DatasetScanner

NO_BACKUP = "backup_failed"
NOT_IN_BACKUP = "not_in_backup"
SUSPECT = "backup_suspect"
BROKE_OFF = "the cleanup broke off before it"
CAME_LATER = "it came while the backup was made: the next run looks at it again"


def run_maintenance(
    data_root: str | os.PathLike[str],
    backup_root: str | os.PathLike[str],
    policy: FileRetentionPolicy,
    include_backup_globs: Sequence[str] | None = None,
    *,
    now: datetime | None = None,
) -> MaintenanceReport:
    """Copy what the globs name (None: all), verify, and delete what `policy` lets go at `now`.

    A failed backup is part of the report: then nothing is deleted and each candidate is skipped.
    Raises PolicyError for globs that are none.
    """
    chosen = Globs(["**"] if include_backup_globs is None else include_backup_globs)
    run = _Run(
        os.fspath(data_root),
        os.fspath(backup_root),
        policy,
        chosen,
        now or datetime.now(UTC),
        is_partial=include_backup_globs is not None,
    )
    try:
        roots = checked_roots(data_root, backup_root)
        with maintenance_lock(roots):
            run.carry_out(roots)
    except (MaintenanceError, RetentionError) as error:
        run.error = str(error)
    except DatabaseError as error:
        run.error = f"the database failed: {error}"
    if run.backup is None:
        with suppress(RetentionError):  # a root that cannot be listed was told already
            run.scan(Path(data_root), Path(backup_root))
    return run.report()


@dataclass
class ChosenByGlobs:
    """The files of a scan that globs name."""

    scanner: DatasetScanner
    globs: Globs

    @property
    def skipped(self) -> Sequence[Skipped]:
        """What is no file."""
        return self.scanner.skipped

    def __iter__(self) -> Iterator[FoundFile]:
        return (found for found in self.scanner if self.globs.match(found.path))


@dataclass
class _Run:
    """One run, and what it has come to so far."""

    data_root: str
    backup_root: str
    policy: FileRetentionPolicy
    chosen: Globs
    now: datetime
    is_partial: bool
    began: float = field(default_factory=time.monotonic)
    backup: Backup | None = None
    candidates: list[FoundFile] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    skipped: list[Kept] = field(default_factory=list)
    error: str = ""

    def carry_out(self, roots: Roots) -> None:
        settle_deletions(roots.dataset, at=self.now)
        scanner = DatasetScanner(roots.dataset, exclude=roots.backup)
        # Once a file is deleted on its strength, a backup is no longer one of several copies.
        is_needed = any(True for _ in self._expired(scanner))
        earlier = is_needed and held_already(roots, Strategy.FILE, self._expired(scanner))
        purpose = Purpose.EXPIRED if is_needed and not earlier else Purpose.SNAPSHOT
        require_none_waits(roots)
        self.backup = self._back_up(roots, scanner, purpose)
        self.scan(roots.dataset, roots.backup)
        if self.candidates:
            self._clean(roots, self.backup, holder=earlier or self.backup)

    def scan(self, data_root: Path, backup_root: Path) -> None:
        """Find the candidates; raise RootUnusableError."""
        scanner = DatasetScanner(data_root, exclude=backup_root)
        self.candidates = [found for found in scanner if self._is_expired(found)]

    def report(self) -> MaintenanceReport:
        days = self.policy.ttl_days
        backup = self.backup
        return MaintenanceReport(
            backup=BackupResult(
                success=backup is not None,
                backup_root=self.backup_root,
                manifest_path=str(backup.manifest_file) if backup else None,
                error="" if backup else self.error,
            ),
            candidates=[
                Candidate(found.path, f"older than {days} days") for found in self.candidates
            ],
            cleanup=CleanupResult(
                success=not self.error,
                deleted=self.deleted,
                skipped=self.skipped
                if backup
                else [Kept(found.path, NO_BACKUP) for found in self.candidates],
                error=self.error,
            ),
        )

    def _is_expired(self, found: FoundFile) -> bool:
        return self.policy.is_expired(found.path, found.mtime_ns, now=self.now)

    def _expired(self, scanner: DatasetScanner) -> Iterator[FoundFile]:
        return (
            found for found in scanner if self._is_expired(found) and self.chosen.match(found.path)
        )

    def _back_up(self, roots: Roots, scanner: DatasetScanner, purpose: Purpose) -> Backup:
        order = BackupOrder(
            roots=roots,
            purpose=purpose,
            now=self.now,
            strategy=Strategy.FILE,
            base=tree_to_link(roots),
            is_partial=self.is_partial,
            began=self.began,
        )
        return make_backup(ChosenByGlobs(scanner, self.chosen), order)

    def _clean(self, roots: Roots, backup: Backup, *, holder: Backup) -> None:
        """Delete the candidates that `holder` holds; each other one is told with its reason."""
        why_left = SUSPECT
        try:
            if backup.anomaly:
                self.error = backup.suspicion
            elif holder.purpose != Purpose.EXPIRED:
                why_left = CAME_LATER
            else:
                why_left = BROKE_OFF
                self._delete(roots, holder)
        except (ManifestError, VerificationError):
            why_left = SUSPECT
            raise
        finally:
            done = {*self.deleted, *(item.path for item in self.skipped)}
            self.skipped += [
                Kept(found.path, why_left if self.chosen.match(found.path) else NOT_IN_BACKUP)
                for found in self.candidates
                if found.path not in done
            ]

    def _delete(self, roots: Roots, backup: Backup) -> None:
        warrant = Warrant(backup_id=backup.backup_id, reason="expired", at=self.now)
        cleaner = RetentionCleaner(roots.dataset, warrant, deleted=self.deleted.append)
        try:
            with open_voucher(backup.read_manifest()) as voucher:
                cleaner.delete(self._still_copied(voucher))
        except BackupUnreadableError:
            raise
        except (ManifestError, VerificationError) as error:
            backup.note(state=Backup.State.FAILED, error=str(error))
            suspect_sharers(backup, getattr(error, "path", ""))
            raise
        finally:
            self.skipped += cleaner.report.kept

    def _still_copied(self, voucher: Voucher) -> Iterator[BackedUpFile]:
        """Yield the candidates that the backup holds; raise VerificationError for a bad copy."""
        for found in self.candidates:
            listed = voucher.listed(found.path)
            if listed is None:
                self.skipped.append(Kept(found.path, NOT_IN_BACKUP))
            else:
                _require_whole(voucher.tree, listed)
                yield listed


def _require_whole(tree: Descent, listed: BackedUpFile) -> None:
    """Read a copy once more: other trees may have it as well, and share its fate."""
    named = f"the copy of {printable(listed.path)!r}"
    try:
        parent, name = tree.parent_of(listed.path)
        with open_file(parent, name) as handle, os.fdopen(handle, "rb", closefd=False) as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        raise (VerificationError if gone else BackupUnreadableError)(
            f"{named} cannot be read: {error.strerror}", path=listed.path
        ) from error
    if sha256 != listed.sha256:
        raise VerificationError(f"{named} is not what was copied", path=listed.path)
