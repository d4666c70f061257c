"""Says which live files an earlier backup holds unchanged, so that they need not be read again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from maintenance.errors import ManifestError
from maintenance.manifest import Manifest
from retention.files import BackedUpFile, FoundFile
from retention.policies import ns_since_epoch
from retention.rooted import Descent, open_root

# A file written within one tick of the clock after it was read keeps its times and its size.
CLOCK_TICK = timedelta(seconds=2)


class Listing:
    """What a backup lists, asked for in the order of a walk. Raises ManifestError."""

    def __init__(self, manifest: Manifest) -> None:
        self._files = manifest.files()
        self._next = next(self._files, None)

    def listed(self, path: str) -> BackedUpFile | None:
        """Return what is listed for `path`, which comes behind the one asked for before."""
        if self._next is not None and self._next.path != path:
            place = in_walk(path)
            while self._next is not None and in_walk(self._next.path) < place:
                self._next = next(self._files, None)
        if self._next is None or self._next.path != path:
            return None
        known, self._next = self._next, next(self._files, None)
        return known


class Voucher(Listing):
    """A verified tree: what it lists, and where its copies are. Raises ManifestError."""

    def __init__(self, manifest: Manifest, tree: Descent) -> None:
        super().__init__(manifest)
        self.tree = tree
        self._still = StillTimes.of(manifest)

    def vouches_for(self, known: BackedUpFile, status: os.stat_result) -> bool:
        """Whether a live file with that status is what was read then."""
        return is_unchanged(known, status, self._still)


@contextmanager
def open_voucher(manifest: Manifest) -> Iterator[Voucher]:
    """Yield the voucher of a tree; raise ManifestError, RootUnusableError."""
    if manifest.content_path.is_symlink():
        raise ManifestError(f"{str(manifest.content_path)!r} is a link, and no tree of copies")
    with open_root(manifest.content_path) as handle, Descent(handle) as tree:
        yield Voucher(manifest, tree)


class StillTimes:
    """The times of files that were surely not written while a backup was made."""

    def __init__(self, since_ns: int, until_ns: int) -> None:
        self._since_ns = since_ns
        self._until_ns = until_ns

    @classmethod
    def of(cls, manifest: Manifest) -> "StillTimes":
        """Return those of the backup with this manifest."""
        return cls(
            ns_since_epoch(manifest.header.created_at - CLOCK_TICK),
            ns_since_epoch(manifest.totals.finished_at),
        )

    def has(self, time_ns: int) -> bool:
        """Whether nothing with this time was written meanwhile."""
        return not self._since_ns <= time_ns <= self._until_ns


def is_unchanged(known: BackedUpFile, status: os.stat_result, still: StillTimes) -> bool:
    """Whether a live file with that status is what a backup read, whose still times these are."""
    return (
        FoundFile.from_status(known.path, status) == known.found
        and status.st_ctime_ns == known.ctime_ns
        and still.has(status.st_mtime_ns)
        and still.has(status.st_ctime_ns)
    )


def in_walk(path: str) -> list[bytes]:
    """Return what sorts paths as a scanner walks: directory by directory, each in byte order."""
    return [os.fsencode(part) for part in path.split("/")]
