"""Turns one line of a manifest into a value, and back; says what is wrong with it."""

import json
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from maintenance.errors import BackupUnreadableError, ManifestError
from maintenance.manifest.values import (
    READABLE,
    ArchiveFacts,
    Header,
    Purpose,
    Stored,
    Strategy,
    Totals,
)
from retention.files import BackedUpFile, FoundFile
from retention.rooted import open_plain

T = TypeVar("T")
LONGEST = 1 << 20  # of a line: what is longer is cut, and no JSON then
SHA256 = re.compile(r"[0-9a-f]{64}")
FILE = re.compile(rb'\{"kind":"file","path":"(?:[^"\\]|\\.)*+","size":(\d{1,20}),')
MOST = 1 << 63
ID = 1 << 32
SECOND = 10**9
_decode = json.JSONDecoder().raw_decode  # `decode` looks for spaces around it, as long again
_encode = json.JSONEncoder(separators=(",", ":")).encode
_quoted = json.encoder.encode_basestring_ascii


class Line(NamedTuple):
    """One line: where it stands, and its bytes."""

    path: Path
    number: int
    raw: bytes

    @property
    def fields(self) -> Mapping[str, Any]:
        """What it says; raises ManifestError if it is no JSON object."""
        try:
            text = self.raw.decode()
            value, end = _decode(text)
        except (ValueError, RecursionError) as error:
            raise ManifestError(
                f"{str(self.path)!r} line {self.number} is no JSON: {error}"
            ) from error
        if not isinstance(value, dict) or text[end:] != "\n":
            raise ManifestError(f"{str(self.path)!r} line {self.number} is no JSON object")
        return value

    @property
    def size_at_a_glance(self) -> int | None:
        """The bytes that a file's line states, if it begins as `line_of_file` writes it.

        The rest of the line is not looked at, in which most of the time goes.
        """
        begins = FILE.match(self.raw)
        return int(begins[1]) if begins else None

    def parsed(self, parse: Callable[[Mapping[str, Any]], T]) -> T:
        """Return what `parse` makes of the fields; raise ManifestError naming the line."""
        fields = self.fields
        try:
            return parse(fields)
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestError(
                f"{str(self.path)!r} line {self.number} is damaged: {error!r}"
            ) from error


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of the file at `path`; raise ManifestError if it is unreadable."""
    try:
        with open_plain(path) as file:
            for number, raw in enumerate(iter(partial(file.readline, LONGEST), b""), start=1):
                yield Line(path, number, raw)
    except OSError as error:
        raise _unread(path, error) from error


def _unread(path: Path, error: OSError) -> ManifestError:
    """Tell what is not there any more from what cannot be read now."""
    said = f"{str(path)!r} cannot be read: {error.strerror}"
    gone = isinstance(error, FileNotFoundError) and path.parent.is_dir()
    return ManifestError(said) if gone else BackupUnreadableError(said)


def line_of(fields: Mapping[str, Any]) -> bytes:
    """Return the line with these fields."""
    return _encode(fields).encode("ascii") + b"\n"


def line_of_file(file: BackedUpFile) -> bytes:
    """Return the line of a file, as `line_of` would make it: there are as many as files."""
    path, size, mtime_ns, inode = file.found
    owner = f"[{file.owner[0]},{file.owner[1]}]" if file.owner else "null"
    ctime_ns = "null" if file.ctime_ns is None else file.ctime_ns
    return (
        f'{{"kind":"file","path":{_quoted(path)},"size":{size},"mtime_ns":{mtime_ns},'
        f'"inode":{inode},"sha256":"{file.sha256}","mode":{file.mode},"owner":{owner},'
        f'"ctime_ns":{ctime_ns}}}\n'
    ).encode("ascii")


def as_header(fields: Mapping[str, Any]) -> Header:
    """Return what the first line states; raise KeyError, TypeError or ValueError."""
    if fields["kind"] != "backup" or fields["format"] not in READABLE:
        raise ValueError(f"not a manifest of format {' or '.join(map(str, sorted(READABLE)))}")
    return Header(
        backup_id=_text(fields["backup_id"]),
        created_at=_instant(fields["created_at"]),
        source_root=_text(fields["source_root"]),
        strategy=Strategy(fields["strategy"]),
        purpose=Purpose(fields["purpose"]),
        tool=_text(fields["tool"]),
        previous_id=_text_or_none(fields["previous_id"]),
        previous_sha256=_text_or_none(fields["previous_sha256"]),
        base_id=_text_or_none(fields.get("base_id")),
        generation=_count(fields.get("generation", 0)),
        is_partial=fields.get("partial", False) is True,
    )


def as_file(fields: Mapping[str, Any]) -> BackedUpFile:
    """Return what a file line states; raise KeyError, TypeError or ValueError."""
    size, mtime_ns, inode = fields["size"], fields["mtime_ns"], fields["inode"]
    mode, owner = fields.get("mode", 0o600), fields.get("owner")
    ctime_ns = fields.get("ctime_ns")
    # In one go: there are as many lines as files.
    if not type(size) is type(inode) is type(mode) is type(mtime_ns) is type(ctime_ns or 0) is int:
        raise TypeError("a number is none")
    if not (0 <= size < MOST and inode >= 0 and mode >= 0 and abs(mtime_ns) < MOST * SECOND):
        raise ValueError("a number is below 0, or beyond what files have")
    return BackedUpFile(
        FoundFile(_text(fields["path"]), size, mtime_ns, inode),
        _sha256(fields["sha256"]),
        stat.S_IMODE(mode),
        None if owner is None else _owner(owner),
        ctime_ns,
    )


def size_of(fields: Mapping[str, Any]) -> int:
    """Return the bytes that a file line states; raise KeyError, TypeError or ValueError."""
    return _count(fields["size"])


def as_totals(fields: Mapping[str, Any]) -> Totals:
    """Return what the end line states; raise KeyError, TypeError or ValueError."""
    archive = None if fields["archive"] is None else _as_archive(fields["archive"])
    changed = fields.get("changed")
    stored = Stored(
        stored_bytes=archive.size_bytes if archive else _count(fields["stored"]),
        archive=archive,
        changed_count=None if changed is None else _count(changed),
    )
    return Totals(
        lines_sha256=_sha256(fields["lines_sha256"]),
        finished_at=_instant(fields["finished_at"]),
        file_count=_count(fields["files"]),
        total_bytes=_count(fields["bytes"]),
        skipped_count=_count(fields["skipped"]),
        stored=stored,
    )


def _as_archive(archive: Mapping[str, Any]) -> ArchiveFacts:
    name = _text(archive["name"])
    if "/" in name or name in {"", ".", ".."}:
        raise ValueError(f"{name!r} is no file name")
    return ArchiveFacts(
        name=name, size_bytes=_count(archive["size"]), sha256=_sha256(archive["sha256"])
    )


def _owner(value: Any) -> tuple[int, int]:
    user, group = value
    if not type(user) is type(group) is int or not 0 <= min(user, group) <= max(user, group) < ID:
        raise ValueError(f"{value!r} is no owner")
    return user, group


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _instant(value: object) -> datetime:
    instant = datetime.fromisoformat(_text(value))
    if instant.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{value!r} is beyond all calendars") from error


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _count(value: object) -> int:
    if not 0 <= _whole(value) < MOST:
        raise ValueError(f"{value!r} is below 0, or beyond {MOST}")
    return _whole(value)


def _sha256(value: object) -> str:
    if not SHA256.fullmatch(_text(value)):
        raise ValueError(f"{value!r} is no SHA-256")
    return _text(value)
