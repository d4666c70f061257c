"""The two compressed tar formats; stock tar opens both."""

import gzip
import io
import os
import sys
import zlib
from enum import StrEnum
from typing import IO, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

WORKERS = min(2, os.cpu_count() or 1)  # a backup is not all that the machine has to do
ZSTD_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.checksum_flag: 1,
    zstd.CompressionParameter.nb_workers: WORKERS,
    zstd.CompressionParameter.job_size: 1 << 20,  # of each worker: the default takes 60 MB more
}
DAMAGED = (zstd.ZstdError, zlib.error, EOFError)


class Compression(StrEnum):
    """How an archive is compressed; the value is what its name ends with."""

    ZSTD = "tar.zst"
    GZIP = "tar.gz"

    def writer(self, sink: IO[bytes] | io.RawIOBase) -> gzip.GzipFile | zstd.ZstdFile:
        """Return a stream that compresses into `sink`."""
        if self is Compression.GZIP:
            return gzip.GzipFile(fileobj=sink, mode="wb", mtime=0)
        return zstd.ZstdFile(cast("IO[bytes]", sink), "wb", options=ZSTD_OPTIONS)

    def reader(self, source: IO[bytes] | io.RawIOBase) -> gzip.GzipFile | zstd.ZstdFile:
        """Return a stream that decompresses `source`; it raises one of DAMAGED, or OSError."""
        if self is Compression.GZIP:
            return gzip.GzipFile(fileobj=source, mode="rb")
        return zstd.ZstdFile(source, "rb")

    @classmethod
    def of(cls, archive_name: str) -> "Compression":
        """Return the compression that a name says; raise ValueError if it is none of ours."""
        plain = archive_name.removesuffix(".age")
        for compression in cls:
            if plain.endswith(f".{compression}"):
                return compression
        raise ValueError(f"{archive_name!r} ends with none of {', '.join(cls)}")
