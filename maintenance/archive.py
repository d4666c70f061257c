"""Writes files into one compressed tar, each read once: hashed while it is archived."""

from contextlib import suppress
from pathlib import Path
from typing import Self

from maintenance.compression import Compression
from maintenance.encryption import SUFFIX, Key
from maintenance.errors import EncryptionError
from maintenance.live import open_live
from maintenance.manifest import ArchiveFacts, Stored
from maintenance.streams import HashingSink, keep_freed_memory
from maintenance.tar import TarWriter
from retention.files import BackedUpFile
from retention.rooted import Descent


class ArchiveWriter:
    """A new archive file, which is none before `finish`; raises OSError when the disk is full.

    With a key it is encrypted, and its name says so.
    """

    def __init__(self, path: Path, key: Key | None = None) -> None:
        keep_freed_memory()
        self._path = path if key is None else path.with_name(path.name + SUFFIX)
        self._sink = HashingSink(self._path)
        self._sealed = key.encrypting(self._sink) if key else None
        self._stream = Compression.of(self._path.name).writer(self._sealed or self._sink)
        self._tar = TarWriter(self._stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._sink.abandon()
        with suppress(OSError, EncryptionError):
            self._stream.close()
            if self._sealed is not None:
                self._sealed.close()

    def add(self, source: Descent, path: str) -> BackedUpFile | None:
        """Archive the file at `path` of a dataset; None if it is gone or no file any more.

        Raises SourceChangedError if it does not hold still, SourceUnreadableError, OSError.
        """
        live = open_live(source, path)
        if live is None:
            return None
        with live:
            self._tar.add(path, live.status, live.chunks())
            return live.listed()

    def finish(self) -> Stored:
        """Write the end of the archive and bring all of it to the disk."""
        self._tar.finish()
        self._stream.close()
        if self._sealed is not None:
            self._sealed.close()
        self._sink.seal()
        size = self._sink.size_bytes
        archive = ArchiveFacts(name=self._path.name, size_bytes=size, sha256=self._sink.sha256)
        return Stored(stored_bytes=size, archive=archive)
