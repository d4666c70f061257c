"""Writes a GNU tar, whose headers take any bytes as a name, any length and any time.

The headers are put together here, because `tarfile` needs ten times as long for one as the kernel
for a small file. Those of long names and large numbers are left to it. Stock tar reads all of it.
"""

import os
import stat
import tarfile
from collections.abc import Iterable
from typing import Protocol

from maintenance.streams import CHUNK_BYTES

BLOCK = 512
RECORD = 20 * BLOCK  # what a tar ends on
NAME_BYTES = 100
MOST_SIZE = MOST_TIME = 8**11  # in 11 octal digits
MOST_ID = 8**7
# Behind the checksum: a regular file, no link, the magic of GNU, and no names of users.
REST = b"0" + bytes(100) + b"ustar  \0" + bytes(32 + 32) + bytes(8 + 8) + bytes(155 + 12)
SUM_OF_REST = sum(REST) + 8 * ord(" ")  # the checksum counts as spaces
PADDING = [bytes(-length % BLOCK) for length in range(BLOCK)]


class Sink(Protocol):
    """What takes the bytes, usually a compressor."""

    def write(self, data: bytes, /) -> int:
        """Take all of them."""


class TarWriter:
    """A tar that is written to a sink, member by member."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._size = 0

    def add(self, path: str, status: os.stat_result, chunks: Iterable[bytes]) -> None:
        """Write a regular file; the chunks are as long in all as its status says."""
        head = header(path, status)
        if status.st_size < CHUNK_BYTES:  # in one piece: the compressor's calls count as well
            head = b"".join((head, *chunks, PADDING[status.st_size % BLOCK]))
            self._write(head)
            return
        self._write(head)
        for chunk in chunks:
            self._write(chunk)
        self._write(PADDING[status.st_size % BLOCK])

    def finish(self) -> None:
        """Write what says that nothing follows."""
        end = 2 * BLOCK
        self._write(bytes(end + -(self._size + end) % RECORD))

    def _write(self, data: bytes) -> None:
        self._sink.write(data)
        self._size += len(data)


def header(path: str, status: os.stat_result) -> bytes:
    """Return the header of a regular file; its times are whole seconds, rounded down."""
    name = path.encode("utf-8", "surrogateescape")
    mode, mtime = stat.S_IMODE(status.st_mode), status.st_mtime_ns // 10**9
    uid, gid, size = status.st_uid, status.st_gid, status.st_size
    is_plain = (
        len(name) <= NAME_BYTES
        and size < MOST_SIZE
        and 0 <= mtime < MOST_TIME
        and uid < MOST_ID
        and gid < MOST_ID
    )
    if not is_plain:
        return _by_tarfile(path, status)
    fields = name.ljust(NAME_BYTES, b"\0") + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        mode,
        uid,
        gid,
        size,
        mtime,
    )
    return b"%b%06o\0 %b" % (fields, sum(fields) + SUM_OF_REST, REST)


def _by_tarfile(path: str, status: os.stat_result) -> bytes:
    member = tarfile.TarInfo(path)
    member.size = status.st_size
    member.mtime = status.st_mtime_ns // 10**9
    member.mode = stat.S_IMODE(status.st_mode)
    member.uid, member.gid = status.st_uid, status.st_gid
    return member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
