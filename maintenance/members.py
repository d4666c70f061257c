"""Reads what an archive holds, file by file, each once and in the order of the archive."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from maintenance.compression import DAMAGED, Compression
from maintenance.errors import VerificationError
from maintenance.manifest import Manifest
from maintenance.streams import HashingSource
from retention.files import printable

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive; its `content` is to be read before the next member is asked for."""

    path: str
    size_bytes: int
    mode: int
    owner: tuple[int, int]  # user id and group id
    content: IO[bytes]

    def chunks(self) -> Iterator[bytes]:
        """Read the content on, to its end."""
        while chunk := self.content.read(CHUNK_BYTES):
            yield chunk


@contextmanager
def open_members(manifest: Manifest) -> Iterator[Iterator[Member]]:
    """Yield the members of the archive that a manifest is of.

    Behind them the whole archive has been read, and has the hash that the manifest states. Raises
    VerificationError where it is damaged, unreadable, another one, or holds what is no file.
    """
    path = manifest.archive_path
    try:
        with path.open("rb") as file:
            source = HashingSource(file)
            with Compression.of(path.name).reader(source) as stream:
                yield _members(cast("BinaryIO", stream))
                while stream.read(CHUNK_BYTES):  # what follows the tar must decompress as well
                    pass
                source.drain()
    except (tarfile.TarError, ValueError, *DAMAGED) as error:
        raise VerificationError(f"{str(path)!r} is damaged: {error}") from error
    archive = manifest.totals.archive
    if (source.size_bytes, source.sha256) != (archive.size_bytes, archive.sha256):
        raise VerificationError(f"{str(path)!r} has not the hash of its manifest")


def _members(stream: BinaryIO) -> Iterator[Member]:
    with tarfile.open(
        fileobj=stream, mode="r|", bufsize=CHUNK_BYTES, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        while (member := tar.next()) is not None:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise VerificationError(f"{printable(member.name)!r} is no regular file")
            with content:
                yield Member(
                    path=member.name,
                    size_bytes=member.size,
                    mode=member.mode,
                    owner=(member.uid, member.gid),
                    content=content,
                )
            tar.members = []  # type: ignore[attr-defined]  # it would remember all it ever read
