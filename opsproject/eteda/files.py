"""Writing whole files: a reader sees the old file or the new one, never half of one."""

import json
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` under a temporary name beside `path`, sync it, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write `record` as JSON that a person can read."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, text.encode() + b"\n")


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Add `record` as one JSON line, on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    with path.open("ab+", buffering=0) as file:
        # A line torn by a power cut stays a line of its own instead of spoiling this one.
        torn = (
            bool(size := os.fstat(file.fileno()).st_size)
            and os.pread(file.fileno(), 1, size - 1) != b"\n"
        )
        file.write(b"\n" + line if torn else line)
        os.fsync(file.fileno())


def unique_name() -> str:
    """Return a file name that sorts by time and no other run has."""
    return f"{datetime.now(tz=UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}.json"


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
