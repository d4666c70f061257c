"""Removes one file if it is what was backed up, and nothing that takes its place meanwhile.

Between the last look at a name and its unlink, another file can be renamed over it. So the name is
given up first, for a private one beside it; what stands there is looked at again, and goes or gets
its name back. What a crash leaves set aside, `put_back` gives back. Whoever wants to write to the
file itself meanwhile is kept out by a lease, and who has it open for that keeps the file.
"""

import errno
import fcntl
import hashlib
import logging
import os
import signal
import stat
import sys
from contextlib import suppress

from retention.errors import PathEscapeError
from retention.files import BackedUpFile, FoundFile, printable
from retention.rooted import open_file, open_parent

log = logging.getLogger(__name__)
ASIDE = ".retention-"
VANISHED = "vanished"
REPLACED = "replaced by something that is not the file backed up"
CHANGED = "changed since the backup"
BEING_WRITTEN = "somebody has it open for writing"
State = tuple[int, int, int, int, int]
NOT_A_FILE = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}


def delete_unchanged(root_handle: int, file: BackedUpFile) -> str:
    """Delete `file` if it is still what was backed up; return '' or the reason it was kept."""
    try:
        with open_parent(root_handle, file.path) as (parent, name):
            return _delete_if_unchanged(parent, name, file)
    except PathEscapeError as error:
        return str(error)
    except FileNotFoundError:
        return VANISHED
    except OSError as error:
        return REPLACED if error.errno in NOT_A_FILE else f"not deletable: {error.strerror}"


def put_back(root_handle: int, path: str) -> None:
    """Give the file that a crash left set aside its name back. Does nothing if there is none."""
    with suppress(OSError), open_parent(root_handle, path) as (parent, name):
        _restore(parent, name)


def _delete_if_unchanged(parent: int, name: str, file: BackedUpFile) -> str:
    """Look at the live file, and delete it while nobody can write to it; '' or why it was kept."""
    with open_file(parent, name) as handle:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return REPLACED
        if FoundFile.from_status(file.path, status) != file.found:
            return CHANGED
        watched = _keep_writers_out(handle)
        if watched is None:
            return BEING_WRITTEN
        sha256 = _sha256_of(handle)
        # Asked by name, so that a file renamed over it while it was hashed is noticed as well.
        after = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if sha256 != file.sha256 or _state(status) != _state(after):
            return CHANGED
        return _delete(parent, name, file, handle, watched=watched)


def _keep_writers_out(handle: int) -> bool | None:
    """Take a read lease: whoever opens the file for writing waits, and takes it from us.

    None where somebody has it open for writing already, False where there is no lease to be had:
    on a file system without them, of a file that is another user's (fcntl(2), F_SETLEASE).
    """
    if sys.platform != "linux":
        return False
    try:
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)  # the default one would end the process
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return None
    except OSError:
        return False
    return True


def _sha256_of(handle: int) -> str:
    os.lseek(handle, 0, os.SEEK_SET)
    with os.fdopen(handle, "rb", closefd=False) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _state(status: os.stat_result) -> State:
    """Return what no change leaves equal: ctime cannot be set back by its writer."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _delete(parent: int, name: str, file: BackedUpFile, handle: int, *, watched: bool) -> str:
    """Set the file aside, and delete it if it is the one that was just looked at."""
    aside = _aside(name)
    if _status(parent, aside) is not None:
        return f"{aside} is in the way: an earlier file of this name, see the log"
    os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=parent)
    try:
        status = os.stat(aside, dir_fd=parent, follow_symlinks=False)
        # Without ctime, which the rename itself has changed.
        if FoundFile.from_status(file.path, status) != file.found:
            return CHANGED
        if watched:
            unwritten = fcntl.fcntl(handle, fcntl.F_GETLEASE) == fcntl.F_RDLCK
        else:  # the rename changed the ctime: its bytes alone say whether it was written meanwhile
            unwritten = _sha256_of(handle) == file.sha256
        if not unwritten:
            return CHANGED
        os.unlink(aside, dir_fd=parent)
        return ""
    finally:
        _restore(parent, name)


def _restore(parent: int, name: str) -> None:
    """Give what stands aside the name back, unless something else has it: then both stay."""
    aside = _aside(name)
    status = _status(parent, aside)
    if status is None:
        return
    try:
        if stat.S_ISDIR(status.st_mode):  # cannot be linked, nor renamed over anything that counts
            os.rename(aside, name, src_dir_fd=parent, dst_dir_fd=parent)
        else:
            _link(parent, aside, name)
            os.unlink(aside, dir_fd=parent)
    except OSError as error:
        names = {"file": printable(name), "aside": aside}
        log.warning("file_left_aside", extra={**names, "reason": str(error.strerror)})


def _link(parent: int, aside: str, name: str) -> None:
    """Link `aside` to `name`, which never replaces anything; fine if a crash came after that."""
    try:
        os.link(aside, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    except FileExistsError:
        linked, there = _status(parent, aside), _status(parent, name)
        if linked is None or there is None or not os.path.samestat(linked, there):
            raise


def _aside(name: str) -> str:
    """Return the private name: told by the name alone, and short enough that logs show it."""
    return ASIDE + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _status(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
