"""One maintenance at a time per root; the lock of a dead process frees itself."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout, lock_descriptor

from maintenance.errors import RootBusyError, RootsError
from maintenance.roots import Roots
from retention.rooted import DIRECTORY, open_root

LOCK_NAME = ".maintenance.lock"


@contextmanager
def maintenance_lock(roots: Roots) -> Iterator[None]:
    """Hold both roots; raise RootBusyError at once if another process has one of them.

    The dataset is locked by its directory handle, so that no file of ours lies among the data.
    Where a file system has no locks on directories (NFS), the backup root alone is held.
    """
    with backup_lock(roots.backup), open_root(roots.dataset) as handle:
        if not _locked(handle):
            raise _busy(str(roots.dataset))
        yield


@contextmanager
def backup_lock(backup_root: Path) -> Iterator[None]:
    """Hold a backup root, whose backups nobody else makes or removes meanwhile; as above."""
    lock = FileLock(backup_root / LOCK_NAME, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise _busy(str(backup_root)) from error
    except OSError as error:
        raise RootsError(
            f"backup root {str(backup_root)!r} cannot be locked ({error.strerror}): "
            "give a writable directory"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def reading(backup: Path) -> Iterator[None]:
    """Keep the backup in this directory from being removed; any number may read it at once.

    Raises RootBusyError if it is being removed. One that is not there is not kept.
    """
    with _flocked(backup, fcntl.LOCK_SH) as ours:
        if not ours:
            raise RootBusyError(f"{str(backup)!r} is being removed by another process")
        yield


@contextmanager
def unless_read(backup: Path) -> Iterator[bool]:
    """Say whether nobody reads the backup in this directory, and keep it so meanwhile."""
    with _flocked(backup, fcntl.LOCK_EX) as ours:
        yield ours


@contextmanager
def _flocked(directory: Path, kind: int) -> Iterator[bool]:
    """Lock a directory until the end, or the death of this process; say if that could be done."""
    try:
        handle = os.open(directory, DIRECTORY)
    except FileNotFoundError:  # who reads it, or removes it, says what is the matter
        yield True
        return
    except OSError:
        yield kind == fcntl.LOCK_SH  # it is not removed by whoever cannot even open it
        return
    try:
        yield _flock(handle, kind)
    finally:
        os.close(handle)


def _flock(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks on directories
        return True
    return True


def _locked(handle: int) -> bool:
    try:
        return lock_descriptor(handle, blocking=False)
    except OSError:
        return os.fstat(handle).st_nlink > 0


def _busy(root: str) -> RootBusyError:
    return RootBusyError(f"{root!r} is being maintained by another process: wait for it or stop it")
