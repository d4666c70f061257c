"""Writes files into one compressed tar, each read once: hashed while it is archived."""

import errno
import os
import stat
import tarfile
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Self

from maintenance.compression import Compression
from maintenance.errors import SourceChangedError, SourceUnreadableError
from maintenance.manifest import ArchiveFacts
from maintenance.streams import HashingSink, HashingSource
from retention.files import BackedUpFile, FoundFile, printable
from retention.rooted import open_file, open_parent

# GNU headers take any bytes as a name, any length and any time, and every tar reads them.
TAR_FORMAT = tarfile.GNU_FORMAT
NO_FILE_ANY_MORE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}


class ArchiveWriter:
    """A new archive file, which is none before `finish`; raises OSError when the disk is full."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._sink = HashingSink(path)
        self._stream = Compression.of(path.name).writer(self._sink)
        self._tar = tarfile.open(  # noqa: SIM115  # closed by finish or __exit__
            fileobj=self._stream,
            mode="w",
            format=TAR_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._sink.abandon()
        self._stream.close()

    def add(self, root_handle: int, path: str) -> BackedUpFile | None:
        """Archive the file at `path` below the handle; None if it is gone or no file any more.

        Raises SourceChangedError if it does not hold still, SourceUnreadableError, OSError.
        """
        with ExitStack() as stack:
            handle = _opened(stack, root_handle, path)
            return None if handle is None else self._add_open(handle, path)

    def finish(self) -> ArchiveFacts:
        """Write the end of the archive and bring all of it to the disk."""
        self._tar.close()
        self._stream.close()
        self._sink.seal()
        return ArchiveFacts(
            name=self._name, size_bytes=self._sink.size_bytes, sha256=self._sink.sha256
        )

    def _add_open(self, handle: int, path: str) -> BackedUpFile | None:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            return None
        with os.fdopen(handle, "rb", closefd=False) as file:
            source = _SteadySource(file, path)
            self._tar.addfile(_member(path, before), source)
        self._tar.members = []  # type: ignore[attr-defined]  # it would remember all it ever wrote
        if _state(before) != _state(os.fstat(handle)):
            raise SourceChangedError(f"{printable(path)!r} changed while it was read")
        return BackedUpFile(FoundFile.from_status(path, before), source.sha256)


class _SteadySource(HashingSource):
    """Tells a source that cannot be read or became shorter from a disk that is full."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        super().__init__(file)
        self._path = path

    def read(self, size: int = -1, /) -> bytes:
        try:
            data = super().read(size)
        except OSError as error:
            raise _unreadable(self._path, error) from error
        if len(data) < size:
            raise SourceChangedError(f"{printable(self._path)!r} became shorter while it was read")
        return data


def _opened(stack: ExitStack, root_handle: int, path: str) -> int | None:
    try:
        parent, name = stack.enter_context(open_parent(root_handle, path))
        return stack.enter_context(open_file(parent, name))
    except OSError as error:
        if error.errno in NO_FILE_ANY_MORE:
            return None
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> SourceUnreadableError:
    return SourceUnreadableError(f"{printable(path)!r} cannot be read: {error.strerror}")


def _member(path: str, status: os.stat_result) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.size = status.st_size
    member.mtime = status.st_mtime_ns // 10**9
    member.mode = stat.S_IMODE(status.st_mode)
    member.uid, member.gid = status.st_uid, status.st_gid
    return member


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
