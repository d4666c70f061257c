"""What lies in a backup root: one directory per backup, whole from the moment it has its name."""

import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from maintenance.durable import sync_directory

log = logging.getLogger(__name__)
BACKUP_ID = re.compile(r"(?P<sequence>\d{6,12})-\d{8}T\d{6}Z-[0-9a-f]{6}")
PARTIAL = ".partial-"
MANIFEST_NAME = "manifest.jsonl"


def new_backup_id(backup_root: Path, *, now: datetime) -> str:
    """Return `<sequence>-<UTC time>-<random>`; ordered by sequence, whatever the clock did."""
    sequence = sequence_of(head_of(backup_root)) + 1
    return f"{sequence:06d}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def head_of(backup_root: Path) -> str:
    """Return the id of the last backup in the chain, '' if there is none."""
    return max(backup_names(backup_root), key=sequence_of, default="")


def sequence_of(backup_id: str) -> int:
    """Return the place of a backup in its chain, from 1; 0 for what is no backup id."""
    match = BACKUP_ID.fullmatch(backup_id)
    return int(match["sequence"]) if match else 0


def backup_names(backup_root: Path) -> Iterator[str]:
    """Yield the ids of the whole backups in `backup_root`, in no order."""
    with os.scandir(backup_root) as entries:
        for entry in entries:
            if BACKUP_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                yield entry.name


@contextmanager
def partial_directory(backup_root: Path, backup_id: str) -> Iterator[Path]:
    """Yield a new directory to fill; whatever `publish` has not renamed is removed again."""
    directory = backup_root / f"{PARTIAL}{backup_id}"
    directory.mkdir(mode=0o700)
    try:
        yield directory
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(directory)


def publish(partial: Path, backup_id: str) -> Path:
    """Give a filled and synced partial directory its name, durably; return it."""
    directory = partial.with_name(backup_id)
    partial.rename(directory)
    sync_directory(directory.parent)
    return directory


def discard(directory: Path) -> None:
    """Remove a whole backup: its name first, so that a crash leaves it whole or partial."""
    partial = directory.with_name(f"{PARTIAL}{directory.name}")
    directory.rename(partial)
    sync_directory(directory.parent)
    shutil.rmtree(partial)


def sweep_partials(backup_root: Path) -> None:
    """Remove what crashes left half done. Nothing was ever deleted on its strength.

    What cannot be removed stays in nobody's way. Call it only while holding the root's lock.
    """
    with os.scandir(backup_root) as entries:
        for entry in entries:
            left = entry.name.startswith(PARTIAL) and sequence_of(entry.name.removeprefix(PARTIAL))
            if left and entry.is_dir(follow_symlinks=False):
                try:
                    shutil.rmtree(entry.path)
                except OSError as error:
                    log.warning("partial_left", extra={"path": entry.path, "reason": str(error)})
