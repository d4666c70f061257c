"""Lists the regular files below a root, and says what it left out and why."""

import os
import stat
from collections.abc import Generator, Iterator
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
        with open_root(self.root) as root:
            # A stack of our own: there are trees that are deeper than Python's.
            levels = [(root, "", iter(self._entries(root, "")))]
            try:
                while levels:
                    handle, prefix, entries = levels[-1]
                    below = yield from self._until_a_directory(handle, prefix, entries)
                    if below is not None:
                        inside, prefix = below
                        levels.append((inside, prefix, iter(self._entries(inside, prefix))))
                    elif len(levels) > 1:
                        os.close(levels.pop()[0])
                    else:
                        levels.clear()
            finally:
                for handle, _, _ in levels[1:]:
                    os.close(handle)

    def _until_a_directory(
        self, handle: int, prefix: str, entries: Iterator[os.DirEntry[str]]
    ) -> Generator[tuple[str, os.stat_result], None, tuple[int, str] | None]:
        """Yield files; return the handle and the prefix of the next directory, None at the end."""
        for entry in entries:
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
                try:
                    return open_directory(handle, entry.name), f"{path}/"
                except OSError as error:
                    self._skip_failed(path, error)
        return None

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

    def _skip_failed(self, path: str, error: OSError) -> None:
        gone = isinstance(error, FileNotFoundError)
        self._skip(path, VANISHED if gone else f"{UNREADABLE}: {error.strerror}")

    def _skip(self, path: str, reason: str) -> None:
        self.skipped.append(Skipped(path, reason))


def _byte_order(entry: os.DirEntry[str]) -> bytes:
    return entry.name.encode("utf-8", "surrogateescape")


def _identity(directory: Path | None) -> tuple[int, int] | None:
    if directory is None:
        return None
    try:
        status = directory.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RootUnusableError(
            f"{str(directory)!r}, which is to be passed over, cannot be looked at: {error.strerror}"
        ) from error
    return status.st_dev, status.st_ino
