"""Makes one backup: archive or tree, manifest, name, verification, row. Whole, or not at all."""

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from django.db import DatabaseError, transaction

from maintenance import progress
from maintenance.anomaly import anomaly_of
from maintenance.archive import ArchiveWriter
from maintenance.compression import Compression
from maintenance.durable import sync_directory
from maintenance.encryption import SETTING, current_key
from maintenance.errors import (
    BackupError,
    ManifestError,
    SourceChangedError,
    SourceUnreadableError,
    VerificationError,
    remedy_of,
)
from maintenance.layout import (
    MANIFEST_NAME,
    discard,
    head_of,
    new_backup_id,
    partial_directory,
    publish,
    sequence_of,
    sweep_partials,
)
from maintenance.manifest import (
    TREE_NAME,
    Header,
    Manifest,
    ManifestWriter,
    Purpose,
    Stored,
    Strategy,
)
from maintenance.models import Backup
from maintenance.roots import Roots
from maintenance.tree import TreeWriter
from maintenance.verify import verify_backup
from maintenance.vouching import open_voucher
from retention.files import BackedUpFile, FoundFile, Skipped, printable
from retention.rooted import Descent, open_root
from retention.scanner import UNREADABLE, VANISHED

log = logging.getLogger(__name__)
ATTEMPTS = 3
FULL_EVERY = 7  # trees: what is linked shares one fate


class Source(Protocol):
    """Files that can be listed more than once, and what the last listing left out."""

    @property
    def skipped(self) -> Sequence[Skipped]:
        """What was left out, and why."""

    def __iter__(self) -> Iterator[FoundFile]: ...


@dataclass(frozen=True)
class ChosenFiles:
    """A source that is a list, in memory or on the disk."""

    files: Iterable[FoundFile]
    skipped: Sequence[Skipped] = ()

    def __iter__(self) -> Iterator[FoundFile]:
        return iter(self.files)


class Store(Protocol):
    """What takes the files of one backup: an archive or a tree."""

    def add(self, source: Descent, path: str) -> BackedUpFile | None:
        """Take one file; None if it is gone or no file any more."""

    def finish(self) -> Stored:
        """Bring all of it to the disk."""


@dataclass(frozen=True, kw_only=True)
class BackupOrder:
    """What a backup is for, how it is stored, and when it is made.

    `compression` is an archive's; `base` is the verified tree before, whose unchanged files a new
    one links, but for every seventh, which is a full copy. `is_partial` says that the source leaves
    some files out, and `began` what `time.monotonic` said at `now`: what is written after that was
    perhaps read before.
    """

    roots: Roots
    purpose: Purpose
    now: datetime
    strategy: Strategy = Strategy.ARCHIVE
    compression: Compression = Compression.ZSTD
    base: Manifest | None = None
    is_partial: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def generation(self) -> int:
        """How many trees the links go back; 0 is a full copy."""
        return 0 if self.base is None else (self.base.header.generation + 1) % FULL_EVERY


@dataclass(frozen=True, kw_only=True)
class _Written:
    """A backup that has its name, and the hash that its manifest had when it was written."""

    directory: Path
    manifest_sha256: str


def make_backup(source: Source, order: BackupOrder) -> Backup:
    """Return the row of a backup of every file in `source`, verified after it was published.

    A file that changes while it is read makes it start over, at most three times. Raises
    BackupError, EncryptionError, ManifestError (of the tree before) and RootUnusableError, and then
    nothing of it is left. The caller holds the lock of the roots.
    """
    attempt = 1
    while True:
        try:
            sweep_partials(order.roots.backup)
            return _recorded(_written(source, order))
        except SourceChangedError as error:
            if attempt == ATTEMPTS:
                raise
            log.warning("backup_restarted", extra={"reason": str(error), "attempt": attempt})
            attempt += 1
        except OSError as error:
            raise BackupError(
                f"{str(order.roots.backup)!r} did not take the backup ({error.strerror or error}): "
                f"{remedy_of(error)}"
            ) from error


def _written(source: Source, order: BackupOrder) -> _Written:
    """Write, sync and publish; the order is that of DESIGN rule 16."""
    root = order.roots.backup
    backup_id = new_backup_id(root, now=order.now)
    with partial_directory(root, backup_id) as partial, ExitStack() as opened:
        store = _open_store(opened, partial, backup_id, order)
        manifest = opened.enter_context(
            ManifestWriter(partial / MANIFEST_NAME, _header(backup_id, order))
        )
        _copy(source, order.roots.dataset, store, manifest)
        stored = store.finish()
        sync_directory(partial)
        sync_directory(root)
        elapsed = timedelta(seconds=time.monotonic() - order.began)
        manifest_sha256 = manifest.finish(stored, finished_at=order.now + elapsed)
        sync_directory(partial)
        return _Written(directory=publish(partial, backup_id), manifest_sha256=manifest_sha256)


def _open_store(opened: ExitStack, partial: Path, backup_id: str, order: BackupOrder) -> Store:
    if order.strategy is Strategy.ARCHIVE:
        archive = partial / f"{backup_id}.{order.compression}"
        return opened.enter_context(ArchiveWriter(archive, current_key()))
    require_trees_possible()
    voucher = opened.enter_context(open_voucher(order.base)) if order.base else None
    linking = order.generation > 0
    return opened.enter_context(TreeWriter(partial / TREE_NAME, voucher, linking=linking))


def require_trees_possible() -> None:
    """Raise BackupError where a key asks for what a tree cannot be."""
    if current_key() is not None:
        raise BackupError(f"a tree of files cannot be encrypted: use archives, or unset {SETTING}")


def _header(backup_id: str, order: BackupOrder) -> Header:
    previous_id = head_of(order.roots.backup)
    previous = order.roots.backup / previous_id / MANIFEST_NAME
    base = order.base and order.base.header
    return Header(
        backup_id=backup_id,
        created_at=order.now,
        source_root=str(order.roots.dataset),
        strategy=order.strategy,
        purpose=order.purpose,
        previous_id=previous_id or None,
        previous_sha256=_sha256_of(previous) if previous.is_file() else None,
        base_id=base.backup_id if base and order.generation else None,
        generation=order.generation,
        is_partial=order.is_partial,
    )


def _copy(source: Source, root: Path, store: Store, manifest: ManifestWriter) -> None:
    progress.begin("backing up")
    with open_root(root) as handle, Descent(handle) as descent:
        for found in source:
            file = store.add(descent, found.path)
            progress.advance(found.size_bytes)
            if file is None:
                manifest.skip(Skipped(found.path, VANISHED))
            else:
                manifest.add(file)
    for skipped in source.skipped:
        if skipped.reason.startswith(UNREADABLE):
            raise SourceUnreadableError(f"{printable(skipped.path)!r} is {skipped.reason}")
        manifest.skip(skipped)


def _recorded(written: _Written) -> Backup:
    with ExitStack() as unless_recorded:
        unless_recorded.callback(discard, written.directory)
        try:
            manifest = verify_backup(
                written.directory / MANIFEST_NAME,
                manifest_sha256=written.manifest_sha256,
                trust_shared=True,
            )
            backup = Backup.of(manifest, sequence=sequence_of(written.directory.name))
            backup.anomaly, backup.verified_at = anomaly_of(backup), manifest.totals.finished_at
            backup.state = backup.state_if_whole
            with transaction.atomic():
                backup.save(force_insert=True)
        except (VerificationError, ManifestError) as error:
            raise BackupError(f"the new backup could not be read back: {error}") from error
        except DatabaseError as error:
            raise BackupError(f"the new backup could not be recorded: {error}") from error
        unless_recorded.pop_all()
    named = {"backup_id": backup.backup_id, "files": backup.file_count}
    log.info("backup_verified", extra=named)
    if backup.anomaly:
        log.error("backup_suspect", extra={**named, "reason": backup.anomaly})
    return backup


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
