"""Files that are hashed while they are written or read, in pieces that are quick to pass on."""

import hashlib
import io
import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from maintenance.hashing import Sha256

CHUNK_BYTES = 1 << 20
ZEROS = bytes(CHUNK_BYTES)
BUFFER_BYTES = CHUNK_BYTES >> 3  # for what compressors give in small pieces
LARGEST_PIECE = 16 * CHUNK_BYTES
FLUSH_BYTES = 64 * CHUNK_BYTES


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, for the next chunk.

    glibc gives large pieces back to the kernel, which makes every page of the next one anew, until
    it has freed one as large (M_MMAP_THRESHOLD of mallopt(3)); nothing is written to this one.
    """
    bytearray(LARGEST_PIECE)


class HashingSink(io.RawIOBase):
    """A new file to write to; `sha256` and `size_bytes` are of what was written so far.

    What is large goes to the disk while it is written: the last flush is short then, and the
    machine's memory is not full of what waits for one.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("xb", buffering=BUFFER_BYTES)
        self._digest = hashlib.sha256()
        self._abandoned = False
        self._flushes = _Flushes(self._file.fileno())
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
        self._flushes.follow(self.size_bytes)
        return length

    def seal(self) -> None:
        """Bring every byte to the disk and close."""
        self._flushes.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Close without caring; what compressors still flush into it goes nowhere."""
        self._abandoned = True
        with suppress(OSError):
            self._flushes.close()
        with suppress(OSError):
            self._file.close()


class _Flushes:
    """Flushes a file beside its writing, one flush at a time; raises what the flush before did."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._next_at = FLUSH_BYTES
        self._thread: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None

    def follow(self, size_bytes: int) -> None:
        """Begin the next flush if enough was written since the last."""
        if size_bytes < self._next_at:
            return
        self._next_at = size_bytes + FLUSH_BYTES
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="ops-flush")
        self._wait()
        self._pending = self._thread.submit(os.fdatasync, self._handle)

    def close(self) -> None:
        """Let the last one end: the handle is not to be another file's by then."""
        try:
            self._wait()
        finally:
            if self._thread is not None:
                self._thread.shutdown()

    def _wait(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()


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
