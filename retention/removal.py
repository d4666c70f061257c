"""Removes one file if it is what was backed up, and nothing that takes its place meanwhile.

Between the last look at a name and its unlink, another file can be renamed over it. So the name is
given up first, for a private one beside it that nobody else writes to; what stands there is looked
at again, and goes or gets its name back. What a crash leaves set aside, `put_back` gives back.
"""

import errno
import hashlib
import logging
import os
import stat
from contextlib import suppress

from retention.errors import PathEscapeError
from retention.files import BackedUpFile, FoundFile, printable
from retention.rooted import open_file, open_parent

log = logging.getLogger(__name__)
ASIDE = ".retention-"
VANISHED = "vanished"
REPLACED = "replaced by something that is not the file backed up"
CHANGED = "changed since the backup"
NOT_A_FILE = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}


def delete_unchanged(root_handle: int, file: BackedUpFile) -> str:
    """Delete `file` if it is still what was backed up; return '' or the reason it was kept."""
    try:
        with open_parent(root_handle, file.path) as (parent, name):
            return _difference(parent, name, file) or _delete(parent, name, file)
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


def _difference(parent: int, name: str, file: BackedUpFile) -> str:
    """Return how the live file differs from the one backed up, or ''."""
    with open_file(parent, name) as handle:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            return REPLACED
        if FoundFile.from_status(file.path, before) != file.found:
            return CHANGED
        with os.fdopen(handle, "rb", closefd=False) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        # Asked by name, so that a file renamed over it while it was hashed is noticed as well.
        after = os.stat(name, dir_fd=parent, follow_symlinks=False)
    same = digest == file.sha256 and _state(before) == _state(after)
    return "" if same else CHANGED


def _state(status: os.stat_result) -> tuple[int, int, int, int, int]:
    """Return what no change leaves equal: ctime cannot be set back by its writer."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _delete(parent: int, name: str, file: BackedUpFile) -> str:
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
