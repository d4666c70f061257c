"""Reads a manifest back, believing nothing that does not add up."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from maintenance.errors import ManifestError
from maintenance.manifest.lines import Line, as_file, as_header, as_totals, read_lines, size_of
from maintenance.manifest.values import TREE_NAME, Header, Strategy, Totals
from retention.files import BackedUpFile


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest file that was read to its end and is consistent in itself."""

    path: Path
    sha256: str
    header: Header
    totals: Totals

    @classmethod
    def read(cls, path: Path) -> Self:
        """Check the file at `path`, sums and hash; raise ManifestError saying what is wrong."""
        lines = read_lines(path)
        first = next(lines, None)
        if first is None:
            raise ManifestError(f"{str(path)!r} is empty")
        header = first.parsed(as_header)
        sums = _Sums()
        sums.add_raw(first.raw)
        for line in lines:
            size = line.size_at_a_glance
            if size is not None:
                sums.add_file(line, size)
            elif line.fields.get("kind") == "end":
                totals = _checked_totals(line, sums, header)
                break
            else:
                sums.add(line)
        else:
            raise ManifestError(f"{str(path)!r} has no end line: it is cut short")
        if next(lines, None) is not None:
            raise ManifestError(f"{str(path)!r} goes on after its end line")
        sums.add_raw(line.raw)
        return cls(path=path, sha256=sums.sha256, header=header, totals=totals)

    @property
    def content_path(self) -> Path:
        """Where the archive or the tree lies: beside the manifest."""
        archive = self.totals.stored.archive
        return self.path.with_name(archive.name if archive else TREE_NAME)

    def files(self) -> Iterator[BackedUpFile]:
        """Read the entries again, in archive order; raise ManifestError."""
        for line in read_lines(self.path):
            if line.size_at_a_glance is not None or line.fields.get("kind") == "file":
                yield line.parsed(as_file)


class _Sums:
    """What the lines read so far add up to."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.file_count = self.total_bytes = self.skipped_count = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def add_raw(self, raw: bytes) -> None:
        self._digest.update(raw)

    def add_file(self, line: Line, size: int) -> None:
        self.add_raw(line.raw)
        self.file_count += 1
        self.total_bytes += size

    def add(self, line: Line) -> None:
        kind = line.fields.get("kind")
        if kind == "file":
            self.add_file(line, line.parsed(size_of))
        elif kind == "skipped":
            self.add_raw(line.raw)
            self.skipped_count += 1
        else:
            raise ManifestError(f"{str(line.path)!r} line {line.number} is of no known kind")


def _checked_totals(line: Line, sums: _Sums, header: Header) -> Totals:
    totals = line.parsed(as_totals)
    if (totals.stored.archive is None) != (header.strategy is Strategy.FILE):
        raise ManifestError(f"{str(line.path)!r} states no archive, or one of a tree")
    stated = (totals.file_count, totals.total_bytes, totals.skipped_count)
    if stated != (sums.file_count, sums.total_bytes, sums.skipped_count):
        raise ManifestError(f"{str(line.path)!r} does not add up: a line was added or removed")
    if totals.lines_sha256 != sums.sha256:
        raise ManifestError(f"{str(line.path)!r} has not the hash that it states: it was edited")
    return totals
