"""Reads what a backup holds, file by file, each once and in the order of its manifest."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import IO, NamedTuple, cast

from maintenance.compression import DAMAGED, Compression
from maintenance.encryption import SUFFIX, require_key
from maintenance.errors import EncryptionError, VerificationError
from maintenance.manifest import ArchiveFacts, Manifest
from maintenance.streams import CHUNK_BYTES, HashingSource, keep_freed_memory
from maintenance.tar import TarReader
from retention.errors import RootUnusableError
from retention.files import printable
from retention.rooted import FILE, Descent, open_root
from retention.scanner import DatasetScanner


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

    Raises VerificationError where it is damaged, unreadable, another one, or holds what is no file,
    EncryptionError where it is encrypted and its key is not there.
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
    key = require_key() if path.name.endswith(SUFFIX) else None
    try:
        with path.open("rb") as file, ExitStack() as opened:
            source = HashingSource(file)
            plain = opened.enter_context(key.decrypting(source)) if key else source
            stream = opened.enter_context(Compression.of(path.name).reader(plain))
            yield _archived(cast("IO[bytes]", stream))
            while stream.read(CHUNK_BYTES):  # what follows the tar must decompress as well
                pass
            source.drain()
    except (ValueError, EncryptionError, *DAMAGED) as error:
        raise VerificationError(f"{str(path)!r} is damaged: {error}") from error
    if (source.size_bytes, source.sha256) != (archive.size_bytes, archive.sha256):
        raise VerificationError(f"{str(path)!r} has not the hash of its manifest")


def _archived(stream: IO[bytes]) -> Iterator[Member]:
    tar = TarReader(stream)
    for path, size in tar:
        yield Member(path, size, tar.chunks, is_shared=bool)


@contextmanager
def _open_tree(manifest: Manifest) -> Iterator[Iterator[Member]]:
    path = manifest.content_path
    try:
        with open_root(path) as handle, Descent(handle) as descent:
            yield _copied(DatasetScanner(path), descent)
    except RootUnusableError as error:
        raise VerificationError(str(error)) from error


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
