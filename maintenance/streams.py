"""Files that are hashed while they are written or read."""

import io
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from maintenance.hashing import Sha256

CHUNK_BYTES = 1 << 20
ZEROS = bytes(CHUNK_BYTES)


class HashingSink(io.RawIOBase):
    """A new file to write to; `sha256` and `size_bytes` are of what was written so far."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("xb", buffering=CHUNK_BYTES)
        self._digest = Sha256()
        self._abandoned = False
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """Return the hash, as hexadecimal digits."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        """Say yes, as the io protocol wants it."""
        return True

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]  # typeshed's Buffer
        """Write all of `data`; raise OSError when the disk is full."""
        length = len(data)
        if self._abandoned:
            return length
        self._file.write(data)
        self._digest.update(data)
        self.size_bytes += length
        return length

    def seal(self) -> None:
        """Bring every byte to the disk and close."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Close without caring; what compressors still flush into it goes nowhere."""
        self._abandoned = True
        with suppress(OSError):
            self._file.close()


class HashingSource(io.RawIOBase):
    """Reads on from `file`, keeping the hash and the count of what passed."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._digest = Sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """Return the hash, as hexadecimal digits."""
        return self._digest.hexdigest()

    def readable(self) -> bool:
        """Say yes, as the io protocol wants it."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, b'' at the end."""
        data = self._file.read(size)
        self._digest.update(data)
        self.size_bytes += len(data)
        return data

    def drain(self) -> None:
        """Read to the end."""
        while self.read(CHUNK_BYTES):
            pass


def write_new(file: BinaryIO, chunks: Iterable[bytes]) -> None:
    """Write all of a new file, with holes where there are only zeros, as sparse files have them."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if chunk == ZEROS:
            file.seek(size)
        else:
            file.write(chunk)
    file.truncate(size)
    file.flush()
