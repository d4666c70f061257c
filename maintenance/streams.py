"""Files that are hashed while they are written or read."""

import hashlib
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


class HashingSink(io.RawIOBase):
    """A new file to write to; `sha256` and `size_bytes` are of what was written so far."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("xb", buffering=1 << 20)
        self._digest = hashlib.sha256()
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
        self._digest = hashlib.sha256()
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
        while self.read(1 << 20):
            pass
