"""The facts about one file that scanning, backing up and deleting compare."""

import os
from dataclasses import dataclass
from typing import NamedTuple, Self


class FoundFile(NamedTuple):
    """A regular file below a root; `path` is relative, with bytes beyond UTF-8 as surrogates.

    A tuple, because a million of them are made in a scan.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def from_status(cls, path: str, status: os.stat_result) -> Self:
        """Return the facts that `stat` tells about `path`."""
        return cls(path, status.st_size, status.st_mtime_ns, status.st_ino)

    @property
    def fingerprint(self) -> str:
        """What must be equal for this to be the same unchanged file: size, mtime, inode."""
        return f"{self.size_bytes}:{self.mtime_ns}:{self.inode}"


class BackedUpFile(NamedTuple):
    """A file as a manifest lists it: the facts when it was read, and the hash of what was read.

    `mode` are its permission bits, `owner` its user's and group's id. No writer can set `ctime_ns`
    back, so by it a later backup knows the file for unchanged. None is unknown.
    """

    found: FoundFile
    sha256: str
    mode: int = 0o600
    owner: tuple[int, int] | None = None
    ctime_ns: int | None = None

    @property
    def path(self) -> str:
        """Return the path relative to the source root."""
        return self.found.path


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something below a root that was not taken, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A candidate that was not deleted, and why."""

    path: str
    reason: str


def printable(path: str) -> str:
    r"""Return a text for databases and screens: `\` doubled, a byte beyond UTF-8 as `\udcXX`."""
    return path.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode("utf-8")


def from_printable(text: str) -> str:
    """Return the path that `printable` made `text` of."""
    return "\\".join(_with_surrogates(part) for part in text.split("\\\\"))


def _with_surrogates(part: str) -> str:
    head, *escaped = part.split("\\ud")
    return head + "".join(chr(int(f"d{item[:3]}", 16)) + item[3:] for item in escaped)
