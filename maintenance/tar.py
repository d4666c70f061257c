"""Writes and reads a GNU tar of regular files, as any bytes are a name to it, and any length.

The headers are put together and taken apart here, because `tarfile` needs ten times as long for one
as the kernel for a small file. Those of long names and large numbers are left to it. Stock tar
reads all of it; of what is no regular file the reader wants nothing to know.
"""

import os
import stat
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Protocol

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
LONG_NAME = b"L"  # the type of a member whose content is the next one's name
REGULAR = {b"0", b"\0"}
MAGIC = b"ustar  \0"
END = bytes(BLOCK)
LONGEST_NAME = 1 << 20


class Sink(Protocol):
    """What takes the bytes, usually a compressor."""

    def write(self, data: bytes, /) -> int:
        """Take all of them."""


class TarWriter:
    """A tar that is written to a sink, member by member."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._size = 0
        self._padding = b""  # of the last member: the compressor's calls count as well

    def add(self, path: str, status: os.stat_result, chunks: Iterable[bytes]) -> None:
        """Write a regular file; the chunks are as long in all as its status says."""
        head = self._padding + header(path, status)
        self._padding = PADDING[status.st_size % BLOCK]
        if status.st_size < CHUNK_BYTES:
            self._write(b"".join((head, *chunks)))
            return
        self._write(head)
        for chunk in chunks:
            self._write(chunk)

    def finish(self) -> None:
        """Write what says that nothing follows."""
        self._write(self._padding)
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
    return b"%b%06o\0 %b" % (fields, _sum(fields) + SUM_OF_REST, REST)


def _sum(data: bytes) -> int:
    """Return the sum of at most 256 bytes, which is one half of Adler-32, and that is fast."""
    return (zlib.adler32(data) & 0xFFFF) - 1


def _by_tarfile(path: str, status: os.stat_result) -> bytes:
    member = tarfile.TarInfo(path)
    member.size = status.st_size
    member.mtime = status.st_mtime_ns // 10**9
    member.mode = stat.S_IMODE(status.st_mode)
    member.uid, member.gid = status.st_uid, status.st_gid
    return member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


class TarError(ValueError):
    """It is no tar as it is written here: cut short, damaged, or with what is no regular file."""


class TarReader:
    """Reads such a tar from a stream, member by member; raises TarError."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._left = self._padding = 0  # of the present member

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield the path and the bytes of each member; ask for its `chunks` before the next one."""
        name = b""
        while (head := self._exactly(BLOCK)) != END:
            kind, size = _checked(head), _number(head[124:136])
            if kind == LONG_NAME and size <= LONGEST_NAME:
                name = self._exactly(size + -size % BLOCK)[:size].rstrip(b"\0")
                continue
            path = (name or head[:NAME_BYTES].partition(b"\0")[0]).decode(
                "utf-8", "surrogateescape"
            )
            if kind not in REGULAR:
                raise TarError(f"{path!r} is no regular file")
            self._left, self._padding = size, -size % BLOCK
            yield path, size
            for _ in self.chunks():
                pass
            self._exactly(self._padding)
            name = b""

    def chunks(self) -> Iterator[bytes]:
        """Read the present member on, to its end."""
        while self._left:
            chunk = self._exactly(min(self._left, CHUNK_BYTES))
            self._left -= len(chunk)
            yield chunk

    def _exactly(self, size: int) -> bytes:
        data = self._source.read(size)
        while len(data) < size:
            more = self._source.read(size - len(data))
            if not more:
                raise TarError("the archive is cut short")
            data += more
        return data


def _checked(head: bytes) -> bytes:
    """Return the type of a header whose checksum is right."""
    total = _sum(head[:148]) + 8 * ord(" ") + _sum(head[156:334]) + _sum(head[334:])
    if head[257:265] != MAGIC or _number(head[148:156]) != total:
        raise TarError("a header of the archive is damaged")
    return head[156:157]


def _number(field: bytes) -> int:
    if field[0] == 0x80:  # noqa: PLR2004 what does not fit into octal digits is binary
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.rstrip(b"\0 ") or b"0", 8)
    except ValueError as error:
        raise TarError("a header of the archive is damaged") from error
