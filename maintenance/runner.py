"""The first maintenance path: back up what expired, and only then delete it (SPEC E3)."""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError

from maintenance.anomaly import require_none_waits
from maintenance.backup import BackupOrder, ChosenFiles, make_backup
from maintenance.compression import Compression
from maintenance.errors import BackupError, MaintenanceError
from maintenance.holding import held_already
from maintenance.locks import maintenance_lock
from maintenance.manifest import Manifest, Purpose, Strategy
from maintenance.models import Backup
from maintenance.outcome import MaintenanceResult, Outcome
from maintenance.roots import Roots, checked_roots
from maintenance.verify import verify_backup
from maintenance.vouching import Listing
from retention.cleaner import CleanupReport, RetentionCleaner
from retention.errors import RetentionError
from retention.expiry import Findings, find_expired
from retention.files import BackedUpFile, FoundFile, Kept
from retention.journal import Warrant, settle_deletions
from retention.policies import DataRetentionPolicy
from retention.scanner import UNREADABLE, DatasetScanner
from retention.spool import Spool

NO_LONGER_EXPIRED = "no longer expired"
NOT_IN_BACKUP = "not in the backup"
TRIED_LATER = "not deletable a while ago, and in that backup: tried again after an hour"
TRY_AGAIN_EVERY = timedelta(hours=1)
LOOKED_AT_EVERY = 500  # files: then whether the backup is still there


def run_maintenance_automation(
    dataset_root: str | os.PathLike[str],
    backup_root: str | os.PathLike[str],
    policy: DataRetentionPolicy,
    *,
    now: datetime | None = None,
    compression: Compression = Compression.ZSTD,
) -> MaintenanceResult:
    """Scan, back up exactly what expired at `now`, verify, delete what the backup holds unchanged.

    A failed backup, an unusable root, a busy lock and a lost database are results with `error`;
    `deletion` tells what was deleted even if the cleanup broke off. Files that no word of the
    policy names are never touched.
    """
    outcome = Outcome(dataset_root=os.fspath(dataset_root), backup_root=os.fspath(backup_root))
    try:
        roots = checked_roots(dataset_root, backup_root)
        with maintenance_lock(roots):
            _Maintenance(roots, policy, now or datetime.now(UTC), compression).carry_out(outcome)
    except (MaintenanceError, RetentionError) as error:
        outcome.error = str(error)
    except DatabaseError as error:
        outcome.error = f"the database failed: {error}"
    return outcome.as_result()


@dataclass(frozen=True)
class _Maintenance:
    """One run under its lock."""

    roots: Roots
    policy: DataRetentionPolicy
    now: datetime
    compression: Compression
    began: float = field(default_factory=time.monotonic)

    def carry_out(self, outcome: Outcome) -> None:
        settle_deletions(self.roots.dataset, at=self.now)
        scanner = DatasetScanner(self.roots.dataset, exclude=self.roots.backup)
        with _spool(self.roots) as spool:
            outcome.findings = self._find(scanner, spool)
            outcome.unreadable = [
                Kept(item.path, item.reason)
                for item in scanner.skipped
                if item.reason.startswith(UNREADABLE)
            ]
            if len(spool):
                require_none_waits(self.roots)
                earlier = held_already(self.roots, Strategy.ARCHIVE, spool)
                if earlier is not None and not self._is_due_again(earlier):
                    outcome.backup = earlier
                    outcome.cleanup = CleanupReport(
                        kept=[Kept(found.path, TRIED_LATER) for found in spool]
                    )
                    return
                outcome.backup = self._verified_again(earlier) if earlier else self._back_up(spool)
                self._clean(outcome, outcome.backup)

    def _find(self, scanner: DatasetScanner, spool: Spool) -> Findings:
        try:
            return find_expired(scanner, self.policy, now=self.now, into=spool)
        except OSError as error:
            raise _full(self.roots, error) from error

    def _is_due_again(self, earlier: Backup) -> bool:
        tried = earlier.verified_at
        return tried is None or not timedelta(0) <= self.now - tried < TRY_AGAIN_EVERY

    def _verified_again(self, earlier: Backup) -> Backup:
        verify_backup(earlier.manifest_file, manifest_sha256=earlier.manifest_sha256)
        earlier.note(verified_at=self.now)
        return earlier

    def _back_up(self, expired: Spool) -> Backup:
        order = BackupOrder(
            roots=self.roots,
            purpose=Purpose.EXPIRED,
            now=self.now,
            compression=self.compression,
            began=self.began,
        )
        return make_backup(ChosenFiles(expired), order)

    def _clean(self, outcome: Outcome, backup: Backup) -> None:
        """Delete what the manifest on disk lists, if archive and manifest are what was verified."""
        if backup.anomaly:
            raise BackupError(backup.suspicion)
        manifest = Manifest.read(backup.manifest_file)
        if manifest.sha256 != backup.manifest_sha256 or not backup.is_intact:
            raise BackupError(f"{backup.backup_id} changed after it was verified")
        warrant = Warrant(backup_id=backup.backup_id, reason="expired", at=self.now)
        cleaner = RetentionCleaner(self.roots.dataset, warrant)
        outcome.cleanup = cleaner.report  # told even if the cleanup breaks off
        kept: list[Kept] = []
        cleaner.delete(self._still_expired(outcome.findings.expired, manifest, kept, backup))
        cleaner.report.kept += kept

    def _still_expired(
        self, expired: Iterable[FoundFile], manifest: Manifest, kept: list[Kept], backup: Backup
    ) -> Iterator[BackedUpFile]:
        """Yield what may go: a file written between scan and backup is young again, and stays.

        Raises BackupError if the backup goes meanwhile.
        """
        is_expired = self.policy.judge(self.now)
        listing = Listing(manifest)
        for number, found in enumerate(expired):
            if number % LOOKED_AT_EVERY == 0 and not backup.is_intact:
                raise BackupError(f"{backup.backup_id} went while files were deleted")
            file = listing.listed(found.path)
            if file is None:
                kept.append(Kept(found.path, NOT_IN_BACKUP))
            elif is_expired(file.path, file.found.mtime_ns):
                yield file
            else:
                kept.append(Kept(file.path, NO_LONGER_EXPIRED))


def _spool(roots: Roots) -> Spool:
    try:
        return Spool(roots.backup)
    except OSError as error:
        raise _full(roots, error) from error


def _full(roots: Roots, error: OSError) -> BackupError:
    return BackupError(f"{str(roots.backup)!r} takes no file ({error.strerror}): make room there")
