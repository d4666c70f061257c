"""Keeps the files that a scan has found on the disk: there may be millions of them."""

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Self

from retention.files import FoundFile

# Size, mtime in seconds and the rest of it in ns, inode, and how many bytes the path takes: in ns
# alone, 64 bits end in the years 1677 and 2262, and some file systems go on.
FACTS = struct.Struct("<QqIQI")
SECOND = 10**9


class Spool:
    """A list of files in a nameless file of a directory; iterated as often as one likes.

    Raises OSError when the disk is full.
    """

    def __init__(self, directory: Path) -> None:
        self._file = TemporaryFile(dir=directory)  # noqa: SIM115 closed by __exit__
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):  # what a full disk did not take is of no use any more
            self._file.close()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[FoundFile]:
        self._file.seek(0)
        while facts := self._file.read(FACTS.size):
            size, seconds, ns, inode, length = FACTS.unpack(facts)
            path = os.fsdecode(self._file.read(length))
            yield FoundFile(path, size, seconds * SECOND + ns, inode)

    def append(self, found: FoundFile) -> None:
        """Add a file at the end."""
        path = os.fsencode(found.path)
        seconds, ns = divmod(found.mtime_ns, SECOND)
        facts = FACTS.pack(found.size_bytes, seconds, ns, found.inode, len(path))
        self._file.write(facts + path)
        self._count += 1
