"""Reads a live file, each byte once, and notices when the file does not hold still."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from typing import Self

from maintenance.errors import SourceChangedError, SourceUnreadableError
from maintenance.streams import CHUNK_BYTES
from retention.files import BackedUpFile, FoundFile, printable
from retention.rooted import FILE, Descent

NO_FILE_ANY_MORE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}


class LiveFile:
    """A live file that is open for reading; what cannot be read is told from a disk that is full.

    As a context manager it closes itself.
    """

    def __init__(self, handle: int, path: str, status: os.stat_result) -> None:
        self.status = status
        self._handle = handle
        self._path = path
        self._digest = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._handle)

    def chunks(self) -> Iterator[bytes]:
        """Read all of it, and no more than it had when it was opened.

        Raises SourceChangedError where that is there no more, SourceUnreadableError.
        """
        left = self.status.st_size
        while left:
            try:
                chunk = os.read(self._handle, min(left, CHUNK_BYTES))
            except OSError as error:
                raise SourceUnreadableError(_cannot_be_read(self._path, error)) from error
            if not chunk:
                raise SourceChangedError(
                    f"{printable(self._path)!r} became shorter while it was read"
                )
            self._digest.update(chunk)
            left -= len(chunk)
            yield chunk

    def listed(self) -> BackedUpFile:
        """Return what a manifest lists of it, once all was read; raise SourceChangedError."""
        if _state(self.status) != _state(os.fstat(self._handle)):
            raise SourceChangedError(
                f"{printable(self._path)!r} changed while it was read: back up while nobody writes "
                "to it, or a copy of it that holds still"
            )
        return listed(self._path, self.status, self._digest.hexdigest())


def open_live(source: Descent, path: str) -> LiveFile | None:
    """Open the file at `path` of a dataset; None if it is gone or no regular file any more.

    Raises SourceUnreadableError.
    """
    try:
        parent, name = source.parent_of(path)
        handle = os.open(name, FILE, dir_fd=parent)
    except OSError as error:
        if error.errno in NO_FILE_ANY_MORE:
            return None
        raise SourceUnreadableError(_cannot_be_read(path, error)) from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        return None
    return LiveFile(handle, path, status)


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
