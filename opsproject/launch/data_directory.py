"""The data directory: made private, written without half files, held by one `up` at a time."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from opsproject.launch.errors import DataDirectoryError

LOCK = "up.lock"
PRIVATE_UMASK = 0o077  # database, broker files and backups are this user's, whoever writes them


@dataclass(frozen=True)
class DataDirectory:
    """A directory that this process holds.

    `lock_fd` is passed on to the supervisor, so that the directory stays held until the last
    process is gone, even where `up` itself was killed.
    """

    path: Path
    lock_fd: int

    def read(self, name: str) -> str | None:
        """Return what `write` kept under this name, or None.

        Raises DataDirectoryError if it is there and cannot be read.
        """
        path = self.path / name
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise DataDirectoryError(
                f"{path} cannot be read ({error}): make it readable for this user, "
                "or remove it and it is made anew"
            ) from error

    def write(self, name: str, text: str) -> Path:
        """Keep a text for this user's eyes only (0600), whole or not at all; return its path."""
        path = self.path / name
        draft = path.with_name(f".{name}.draft")
        draft.unlink(missing_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        return path


@contextmanager
def held_data_directory(path: Path, *, port: int) -> Iterator[DataDirectory]:
    """Make the directory if needed and hold it; the port is what a second `up` is told.

    Raises DataDirectoryError if it cannot be written to or another `up` holds it.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_fd = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataDirectoryError(
            f"OPS_DATA_DIR={path} cannot be written to ({error.strerror}): "
            "make it writable or name another directory"
        ) from None
    try:
        _lock(lock_fd, path)
        _sign(lock_fd, port)
        yield DataDirectory(path, lock_fd)
    finally:
        os.close(lock_fd)


def _lock(lock_fd: int, path: Path) -> None:
    """Take the lock: flock, because unlike a pid file it ends with its last holder."""
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataDirectoryError(
            f"{path} is held by {_holder(lock_fd)}: stop that one, "
            "or set OPS_DATA_DIR (and OPS_PORT) to run another beside it"
        ) from None


def _holder(lock_fd: int) -> str:
    """Say who holds the lock, as far as it has signed."""
    with suppress(ValueError, KeyError, TypeError):
        signed = json.loads(os.pread(lock_fd, 1024, 0))
        return f"process {signed['pid']} (port {signed['port']})"
    return "another `up` that is just starting"


def _sign(lock_fd: int, port: int) -> None:
    """Write who we are into the lock file."""
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, json.dumps({"pid": os.getpid(), "port": port}).encode(), 0)
