"""Reads a live file, each byte once, and notices when the file does not hold still."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from maintenance.errors import SourceChangedError, SourceUnreadableError
from maintenance.streams import CHUNK_BYTES, HashingSource
from retention.files import BackedUpFile, FoundFile, printable
from retention.rooted import FILE, Descent

NO_FILE_ANY_MORE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}


class LiveFile(HashingSource):
    """A live file that is open; what cannot be read is told from a disk that is full."""

    def __init__(self, file: BinaryIO, path: str, status: os.stat_result) -> None:
        super().__init__(file)
        self.status = status
        self._path = path

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes; raise SourceChangedError where there are fewer, SourceUnreadable."""
        try:
            data = super().read(size)
        except OSError as error:
            raise SourceUnreadableError(_cannot_be_read(self._path, error)) from error
        if len(data) < size:
            raise SourceChangedError(f"{printable(self._path)!r} became shorter while it was read")
        return data

    def chunks(self) -> Iterator[bytes]:
        """Read all of it, and no more than it had when it was opened."""
        left = self.status.st_size
        while left:
            yield self.read(min(left, CHUNK_BYTES))
            left = self.status.st_size - self.size_bytes

    def listed(self) -> BackedUpFile:
        """Return what a manifest lists of it, once all was read; raise SourceChangedError."""
        if _state(self.status) != _state(os.fstat(self._file.fileno())):
            raise SourceChangedError(f"{printable(self._path)!r} changed while it was read")
        return listed(self._path, self.status, self.sha256)


@contextmanager
def open_live(source: Descent, path: str) -> Iterator[LiveFile | None]:
    """Yield the file at `path` of a dataset; None if it is gone or no regular file any more.

    Raises SourceUnreadableError.
    """
    try:
        parent, name = source.parent_of(path)
        handle = os.open(name, FILE, dir_fd=parent)
    except OSError as error:
        if error.errno in NO_FILE_ANY_MORE:
            yield None
            return
        raise SourceUnreadableError(_cannot_be_read(path, error)) from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            yield None
            return
        with os.fdopen(handle, "rb", closefd=False) as file:
            yield LiveFile(file, path, status)
    finally:
        os.close(handle)


def listed(path: str, status: os.stat_result, sha256: str) -> BackedUpFile:
    """Return a file with that status and content as a manifest lists it."""
    return BackedUpFile(
        FoundFile.from_status(path, status),
        sha256,
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
        ctime_ns=status.st_ctime_ns,
    )


def _cannot_be_read(path: str, error: OSError) -> str:
    return f"{printable(path)!r} cannot be read: {error.strerror}"


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
