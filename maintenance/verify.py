"""Reads an archive back against its manifest, in one stream: every member and the whole file."""

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, cast

from maintenance.compression import DAMAGED, Compression
from maintenance.errors import VerificationError
from maintenance.manifest import Manifest
from maintenance.streams import HashingSource
from retention.files import BackedUpFile, printable

CHUNK_BYTES = 1 << 20


def verify_backup(manifest_path: Path, *, manifest_sha256: str = "") -> Manifest:
    """Return the manifest if the archive beside it holds exactly what it lists.

    `manifest_sha256` is the hash known from elsewhere, '' if none is. Raises ManifestError or
    VerificationError naming the first difference.
    """
    manifest = Manifest.read(manifest_path)
    if manifest_sha256 not in {"", manifest.sha256}:
        raise VerificationError(f"{str(manifest_path)!r} is not the manifest that was recorded")
    try:
        with manifest.archive_path.open("rb") as file:
            _compare_archive(manifest, HashingSource(file))
    except OSError as error:
        raise VerificationError(
            f"{str(manifest.archive_path)!r} cannot be read: {error}"
        ) from error
    except (tarfile.TarError, ValueError, *DAMAGED) as error:
        raise VerificationError(f"{str(manifest.archive_path)!r} is damaged: {error}") from error
    return manifest


def _compare_archive(manifest: Manifest, source: HashingSource) -> None:
    with Compression.of(manifest.archive_path.name).reader(source) as stream:
        for listed, stored in zip_longest(manifest.files(), _members(cast("BinaryIO", stream))):
            if listed is None or stored is None or not _agree(listed, stored):
                culprit = listed.path if listed else stored.path if stored else ""
                raise VerificationError(
                    f"{printable(culprit)!r} is not in {str(manifest.archive_path)!r} as listed"
                )
        while stream.read(CHUNK_BYTES):  # what follows the tar must decompress as well
            pass
        source.drain()
    archive = manifest.totals.archive
    if (source.size_bytes, source.sha256) != (archive.size_bytes, archive.sha256):
        raise VerificationError(f"{str(manifest.archive_path)!r} has not the hash of its manifest")


@dataclass(frozen=True, slots=True)
class _Stored:
    """What an archive really holds of one file."""

    path: str
    size_bytes: int
    sha256: str


def _members(stream: BinaryIO) -> Iterator[_Stored]:
    with tarfile.open(
        fileobj=stream, mode="r|", bufsize=CHUNK_BYTES, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        while (member := tar.next()) is not None:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise VerificationError(f"{printable(member.name)!r} is no regular file")
            with content:
                digest = hashlib.sha256()
                while chunk := content.read(CHUNK_BYTES):
                    digest.update(chunk)
            yield _Stored(member.name, member.size, digest.hexdigest())
            tar.members = []  # type: ignore[attr-defined]  # it would remember all it ever read


def _agree(listed: BackedUpFile, stored: _Stored) -> bool:
    return stored == _Stored(listed.path, listed.found.size_bytes, listed.sha256)
