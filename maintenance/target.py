"""Writes restored files below a directory handle: follows no link, leaves it by no path."""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from maintenance.errors import RestoreError
from maintenance.hashing import Sha256
from maintenance.members import Member
from maintenance.streams import write_new
from retention.errors import PathEscapeError
from retention.files import BackedUpFile, Kept, printable
from retention.rooted import NEW_FILE, Descent, open_file

PRIVATE = ".restoring-"  # what only a crash leaves
EXISTS = "is there and differs: --overwrite replaces it"
A_DIRECTORY = "is a directory: only files are replaced"
IN_THE_WAY = "a link or a file stands where its directory would be"
NEW_DIRECTORY = 0o777  # but for the umask: rights of directories are in no manifest
NO_DIRECTORY = {errno.ENOTDIR, errno.ELOOP}
NO_SUCH_NAME = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}


@dataclass
class Restored:
    """What became of the files: restored, found there as they should be, or kept as they were."""

    files: int = 0
    bytes: int = 0
    there_already: int = 0
    kept: list[Kept] = field(default_factory=list)


class Target:
    """Where files are restored to; raises OSError when its disk does not take them."""

    def __init__(self, root_handle: int, *, overwrite: bool) -> None:
        self.report = Restored()
        self._root = root_handle
        self._into = Descent(root_handle, make=NEW_DIRECTORY, leave=os.fsync)
        self._overwrite = overwrite

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._into.__exit__(*exc)

    def put(self, listed: BackedUpFile, member: Member) -> None:
        """Write one file with its mode, time and owner, or keep what is there, and report it.

        Raises RestoreError if the archive does not hold what was verified a moment ago.
        """
        reason = self._put(listed, member)
        if reason:
            self.report.kept.append(Kept(listed.path, reason))

    def sync(self) -> None:
        """Bring the names of all that was written to the disk, also those of new directories."""
        self._into.finish()
        os.fsync(self._root)

    def _put(self, listed: BackedUpFile, member: Member) -> str:
        """Return '' or why what is there was kept."""
        try:
            parent, name = self._into.parent_of(listed.path)
            if _is_there(parent, name, listed):
                self.report.there_already += 1
                return ""
            return self._write(parent, name, listed, member)
        except PathEscapeError as error:
            return str(error)
        except OSError as error:
            if error.errno in NO_DIRECTORY:
                return IN_THE_WAY
            if error.errno in NO_SUCH_NAME:
                return f"cannot have this name there: {error.strerror}"
            raise

    def _write(self, parent: int, name: str, listed: BackedUpFile, member: Member) -> str:
        if not self._overwrite and _status(parent, name) is not None:
            return EXISTS
        private = PRIVATE + secrets.token_hex(8)
        try:
            _copy(parent, private, listed, member)
            if reason := self._give_name(parent, private, name):
                return reason
        finally:
            with suppress(FileNotFoundError):
                os.unlink(private, dir_fd=parent)
        self.report.files += 1
        self.report.bytes += listed.found.size_bytes
        return ""

    def _give_name(self, parent: int, private: str, name: str) -> str:
        try:
            if self._overwrite:
                os.replace(private, name, src_dir_fd=parent, dst_dir_fd=parent)
            else:
                _name(parent, private, name)
        except FileExistsError:
            return EXISTS
        except IsADirectoryError:
            return A_DIRECTORY
        return ""


def _name(parent: int, private: str, name: str) -> None:
    """Give a file its name; raise FileExistsError where something has it."""
    try:  # a link never replaces what came there meanwhile
        os.link(private, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if _status(parent, name) is not None:  # the best that there is without links
            raise FileExistsError(name) from error
        os.rename(private, name, src_dir_fd=parent, dst_dir_fd=parent)


def _is_there(parent: int, name: str, listed: BackedUpFile) -> bool:
    """Tell whether the name stands for a file with just these bytes already."""
    status = _status(parent, name)
    if status is None or not stat.S_ISREG(status.st_mode):
        return False
    if status.st_size != listed.found.size_bytes:
        return False
    with open_file(parent, name) as handle, os.fdopen(handle, "rb", closefd=False) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == listed.sha256


def _copy(parent: int, private: str, listed: BackedUpFile, member: Member) -> None:
    """Write the content, synced; raise RestoreError if it is not what the manifest lists."""
    digest = Sha256()
    handle = os.open(private, NEW_FILE, 0o600, dir_fd=parent)
    with os.fdopen(handle, "wb") as file:
        write_new(file, _hashed(member.chunks(), digest))
        if digest.hexdigest() != listed.sha256:
            raise RestoreError(
                f"{printable(listed.path)!r} changed in the backup while it was read"
            )
        if os.geteuid() == 0 and listed.owner is not None:  # others may not give files away
            os.fchown(file.fileno(), *listed.owner)
        os.fchmod(file.fileno(), listed.mode)
        os.utime(file.fileno(), ns=(listed.found.mtime_ns, listed.found.mtime_ns))
        os.fsync(file.fileno())


def _hashed(chunks: Iterator[bytes], digest: Sha256) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def _status(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
