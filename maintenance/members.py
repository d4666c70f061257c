"""Reads what a backup holds, file by file, each once and in the order of its manifest."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, cast

from maintenance.compression import DAMAGED, Compression
from maintenance.encryption import SETTING, SUFFIX, require_key
from maintenance.errors import BackupUnreadableError, EncryptionError, VerificationError
from maintenance.manifest import ArchiveFacts, Manifest
from maintenance.streams import CHUNK_BYTES, HashingSource, keep_freed_memory
from maintenance.tar import TarReader
from retention.errors import RootUnusableError
from retention.files import printable
from retention.rooted import FILE, Descent, open_plain, open_root
from retention.scanner import DatasetScanner

READERS_ERRORS = (ValueError, EncryptionError, *DAMAGED)


class Member(NamedTuple):
    """A file of a backup, of which more is to be asked before the next one is.

    A copy that `is_shared` is another backup's as well, under its own name.
    """

    path: str
    size_bytes: int
    chunks: Callable[[], Iterator[bytes]]
    is_shared: Callable[[], bool]


@contextmanager
def open_members(manifest: Manifest) -> Iterator[Iterator[Member]]:
    """Yield the members of the backup that a manifest is of.

    Raises VerificationError where it is damaged, another one, or holds what is no file,
    BackupUnreadableError or OSError where it cannot be read now, EncryptionError without its key.
    """
    archive = manifest.totals.stored.archive
    opened = _open_tree(manifest) if archive is None else _open_archive(manifest, archive)
    with opened as members:
        yield members


@contextmanager
def _open_archive(manifest: Manifest, archive: ArchiveFacts) -> Iterator[Iterator[Member]]:
    """Behind the members the whole archive has been read, and has the hash that was stated."""
    keep_freed_memory()
    path = manifest.content_path
    try:
        compression = Compression.of(path.name)
    except ValueError as error:
        raise VerificationError(f"{str(path)!r} is no archive of ours: {error}") from error
    key = require_key() if path.name.endswith(SUFFIX) else None
    with open_plain(path) as file, ExitStack() as opened:
        source = HashingSource(cast("BinaryIO", file))
        plain = opened.enter_context(key.decrypting(source)) if key else source
        stream = opened.enter_context(compression.reader(plain))
        reading = _ArchiveReading(path, archive, source, cast("IO[bytes]", stream))
        yield reading.members()
        reading.finish()


class _ArchiveReading:
    """An archive while it is read; what its readers raise is told as VerificationError."""

    def __init__(
        self, path: Path, archive: ArchiveFacts, source: HashingSource, stream: IO[bytes]
    ) -> None:
        self._path, self._archive = path, archive
        self._source, self._stream = source, stream
        self._tar = TarReader(stream)

    def members(self) -> Iterator[Member]:
        try:
            for path, size in self._tar:
                yield Member(path, size, self._chunks, is_shared=bool)
        except READERS_ERRORS as error:
            raise self._told(error) from error

    def _chunks(self) -> Iterator[bytes]:
        try:
            yield from self._tar.chunks()
        except READERS_ERRORS as error:
            raise self._told(error) from error

    def finish(self) -> None:
        """Read on to the end; what follows the tar must decompress as well."""
        try:
            while self._stream.read(CHUNK_BYTES):
                pass
        except READERS_ERRORS as error:
            raise self._told(error) from error
        self._source.drain()
        if not self._is_what_was_stated():
            raise VerificationError(f"{str(self._path)!r} has not the hash of its manifest")

    def _told(self, error: Exception) -> VerificationError:
        if isinstance(error, EncryptionError):
            self._source.drain()
            if self._is_what_was_stated():
                return BackupUnreadableError(
                    f"{str(self._path)!r} is what it was, but this key does not open it ({error}): "
                    f"name the one it was made with in {SETTING}"
                )
        return VerificationError(f"{str(self._path)!r} is damaged: {error}")

    def _is_what_was_stated(self) -> bool:
        stated = (self._archive.size_bytes, self._archive.sha256)
        return (self._source.size_bytes, self._source.sha256) == stated


@contextmanager
def _open_tree(manifest: Manifest) -> Iterator[Iterator[Member]]:
    path = manifest.content_path
    try:
        if path.is_symlink():
            raise VerificationError(f"{str(path)!r} is a link, and no tree of copies")
        with open_root(path) as handle, Descent(handle) as descent:
            yield _copied(DatasetScanner(path), descent)
    except RootUnusableError as error:
        gone = not path.exists() and path.parent.is_dir()
        raise (VerificationError if gone else BackupUnreadableError)(str(error)) from error


def _copied(tree: DatasetScanner, descent: Descent) -> Iterator[Member]:
    for found in tree:
        parent, name = descent.parent_of(found.path)
        content = partial(_content, parent, name, found.size_bytes)
        yield Member(found.path, found.size_bytes, content, partial(_is_linked, parent, name))
    for skipped in tree.skipped:
        raise VerificationError(f"{printable(skipped.path)!r} is a {skipped.reason}, and no copy")


def _content(parent: int, name: str, size_bytes: int) -> Iterator[bytes]:
    """Read a copy to its end, even if that is not where it should be."""
    at_once = min(size_bytes + 1, CHUNK_BYTES)
    handle = os.open(name, FILE, dir_fd=parent)
    try:
        while chunk := os.read(handle, at_once):
            yield chunk
    finally:
        os.close(handle)


def _is_linked(parent: int, name: str) -> bool:
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1
