"""Lists the regular files below a root, and says what it left out and why."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from retention.errors import RootUnusableError
from retention.files import FoundFile, Skipped
from retention.rooted import open_directory, open_root

KINDS = {
    stat.S_IFLNK: "symbolic link",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}
UNREADABLE = "unreadable"
VANISHED = "vanished"


@dataclass
class DatasetScanner:
    """Every iteration walks `root` anew, in byte order, and fills `skipped` as it goes.

    `exclude` is a directory below the root that is passed over, told by inode, so that a link or
    a bind mount does not hide it. Raises RootUnusableError when the root itself cannot be listed.
    """

    root: Path
    exclude: Path | None = None
    skipped: list[Skipped] = field(default_factory=list, init=False)
    _excluded: tuple[int, int] | None = field(default=None, init=False, repr=False)

    def __iter__(self) -> Iterator[FoundFile]:
        for path, status in self.walk():
            yield FoundFile(path, status.st_size, status.st_mtime_ns, status.st_ino)

    def walk(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the same with all that `stat` says."""
        self.skipped.clear()
        self._excluded = _identity(self.exclude)
        with open_root(self.root) as handle:
            yield from self._walk(handle, "")

    def _walk(self, handle: int, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        for entry in self._entries(handle, prefix):
            path = prefix + entry.name
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as error:
                self._skip_failed(path, error)
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status
            elif not stat.S_ISDIR(status.st_mode):
                self._skip(path, KINDS.get(stat.S_IFMT(status.st_mode), "not a regular file"))
            elif (status.st_dev, status.st_ino) == self._excluded:
                self._skip(path, "the backup root")
            else:
                yield from self._descend(handle, entry.name, path)

    def _entries(self, handle: int, prefix: str) -> list[os.DirEntry[str]]:
        """Return what the directory holds; a fixed order makes two scans comparable as streams."""
        try:
            with os.scandir(handle) as entries:
                return sorted(entries, key=_byte_order)
        except OSError as error:
            if not prefix:
                raise RootUnusableError(
                    f"{str(self.root)!r} cannot be listed: {error.strerror}"
                ) from error
            self._skip_failed(prefix.removesuffix("/"), error)
            return []

    def _descend(self, handle: int, name: str, path: str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            below = open_directory(handle, name)
        except OSError as error:
            self._skip_failed(path, error)
            return
        try:
            yield from self._walk(below, f"{path}/")
        finally:
            os.close(below)

    def _skip_failed(self, path: str, error: OSError) -> None:
        gone = isinstance(error, FileNotFoundError)
        self._skip(path, VANISHED if gone else f"{UNREADABLE}: {error.strerror}")

    def _skip(self, path: str, reason: str) -> None:
        self.skipped.append(Skipped(path, reason))


def _byte_order(entry: os.DirEntry[str]) -> bytes:
    return entry.name.encode("utf-8", "surrogateescape")


def _identity(directory: Path | None) -> tuple[int, int] | None:
    if directory is None or not directory.exists():
        return None
    status = directory.stat()
    return status.st_dev, status.st_ino
