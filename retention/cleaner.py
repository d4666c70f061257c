"""Deletes files that a verified backup holds, and only while they are what was backed up."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from django.db import DatabaseError

from retention.files import BackedUpFile, Kept
from retention.journal import Warrant, conclude_deletions, plan_deletions
from retention.removal import delete_unchanged
from retention.rooted import open_root

log = logging.getLogger(__name__)
BATCH = 500
NOT_RECORDED = "the deletion could not be recorded"


@dataclass
class CleanupReport:
    """What a cleanup did: how many files and bytes went, and what was kept and why."""

    deleted_files: int = 0
    deleted_bytes: int = 0
    kept: list[Kept] = field(default_factory=list)


class RetentionCleaner:
    """Deletes below one root on the strength of one verified backup; `report` tells how far.

    `deleted` is told each path that went.
    """

    def __init__(
        self, root: Path, warrant: Warrant, *, deleted: Callable[[str], object] | None = None
    ) -> None:
        self._root = root
        self._warrant = warrant
        self._deleted = deleted
        self.report = CleanupReport()

    def delete(self, files: Iterable[BackedUpFile]) -> None:
        """Delete each of `files`, entries of a verified manifest, that is unchanged since.

        One that cannot go does not stop the rest. Raises RootUnusableError.
        """
        with open_root(self._root) as handle:
            for batch in _batches(files):
                self._delete_batch(handle, batch)

    def _delete_batch(self, root_handle: int, batch: Sequence[BackedUpFile]) -> None:
        try:
            rows = plan_deletions(batch, root=self._root, warrant=self._warrant)
        except DatabaseError as error:
            log.warning("deletion_not_recorded", extra={"error": str(error), "files": len(batch)})
            self.report.kept += [Kept(file.path, NOT_RECORDED) for file in batch]
            return
        kept = list(self._attempt(root_handle, batch))
        self.report.kept += kept
        try:
            conclude_deletions(rows, kept_paths=[item.path for item in kept], at=self._warrant.at)
        except DatabaseError as error:  # the rows stay open; settle_deletions closes them
            log.warning("deletion_not_concluded", extra={"error": str(error), "files": len(batch)})

    def _attempt(self, root_handle: int, batch: Sequence[BackedUpFile]) -> Iterator[Kept]:
        for file in batch:
            reason = delete_unchanged(root_handle, file)
            if reason:
                yield Kept(file.path, reason)
            else:
                self.report.deleted_files += 1
                self.report.deleted_bytes += file.found.size_bytes
                if self._deleted is not None:
                    self._deleted(file.path)


def _batches(files: Iterable[BackedUpFile]) -> Iterator[list[BackedUpFile]]:
    remaining = iter(files)
    while batch := list(islice(remaining, BATCH)):
        yield batch
