"""Makes names survive a power cut: a new or renamed entry is safe once its directory is synced."""

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Flush the entries of `directory` to the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_directory(directory: Path) -> None:
    """Make `directory` and the parents it lacks, each entry synced."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    sync_directory(directory.parent)
