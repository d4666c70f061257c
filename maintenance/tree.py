"""Writes files into a tree of copies; what the tree before holds unchanged is linked to it."""

import errno
import os
import stat
from pathlib import Path
from typing import Self

from maintenance.live import listed, open_live
from maintenance.manifest import Stored
from maintenance.streams import write_new
from maintenance.vouching import Voucher
from retention.files import BackedUpFile
from retention.rooted import DIRECTORY, NEW_FILE, Descent

PRIVATE = 0o700
READ_ONLY = 0o400  # whoever edits a copy by accident would edit it in every backup that links it
# No more links to it, none across this file system, or it is not there: a copy is as good.
NO_LINK = {errno.EMLINK, errno.EPERM, errno.EXDEV, errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class TreeWriter:
    """A new directory that holds the files under their own paths; `voucher` is the tree before.

    Files are to be added in the order of a walk. `linking` says whether copies are shared with the
    tree before; if not it only tells what has changed. Raises OSError when the disk is full.
    """

    def __init__(
        self, directory: Path, voucher: Voucher | None = None, *, linking: bool = True
    ) -> None:
        directory.mkdir(mode=PRIVATE)
        self._root = os.open(directory, DIRECTORY)
        self._into = Descent(self._root, make=PRIVATE, leave=os.fsync)
        self._voucher = voucher
        self._linking = linking
        self._stored_bytes = self._changed_count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._into.__exit__(*exc)
        os.close(self._root)

    def add(self, source: Descent, path: str) -> BackedUpFile | None:
        """Link or copy the file at `path` of a dataset; None if it is gone or no file any more.

        Raises SourceChangedError if it does not hold still, SourceUnreadableError, OSError.
        """
        known = self._voucher.listed(path) if self._voucher else None
        if known and self._voucher and self._linking:
            linked = self._linked(self._voucher, known, source)
            if linked:
                return linked
        copied = self._copied(source, path)
        self._changed_count += bool(known and copied and copied.sha256 != known.sha256)
        return copied

    def finish(self) -> Stored:
        """Bring every name to the disk, the lower directories first."""
        self._into.finish()
        os.fsync(self._root)
        return Stored(
            stored_bytes=self._stored_bytes,
            changed_count=self._changed_count if self._voucher else None,
        )

    def _linked(
        self, voucher: Voucher, known: BackedUpFile, source: Descent
    ) -> BackedUpFile | None:
        try:
            parent, name = source.parent_of(known.path)
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError:
            return None  # `_copied` says what is the matter
        if not voucher.vouches_for(known, status) or not self._link(voucher, known):
            return None
        return listed(known.path, status, known.sha256)

    def _link(self, voucher: Voucher, known: BackedUpFile) -> bool:
        into, name = self._into.parent_of(known.path)
        try:
            theirs, _ = voucher.tree.parent_of(known.path)
            copy = os.stat(name, dir_fd=theirs, follow_symlinks=False)
            if not stat.S_ISREG(copy.st_mode) or copy.st_size != known.found.size_bytes:
                return False
            os.link(name, name, src_dir_fd=theirs, dst_dir_fd=into, follow_symlinks=False)
        except OSError as error:
            if error.errno in NO_LINK:
                return False
            raise
        return True

    def _copied(self, source: Descent, path: str) -> BackedUpFile | None:
        live = open_live(source, path)
        if live is None:
            return None
        with live:
            parent, name = self._into.parent_of(path)
            with os.fdopen(os.open(name, NEW_FILE, 0o600, dir_fd=parent), "wb") as copy:
                write_new(copy, live.chunks())
                os.fchmod(copy.fileno(), READ_ONLY)
                os.utime(copy.fileno(), ns=(live.status.st_mtime_ns, live.status.st_mtime_ns))
                os.fsync(copy.fileno())
            self._stored_bytes += live.status.st_size
            return live.listed()
