"""Opens files by their path below a directory handle: no symbolic link followed, no way out."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self

from retention.errors import PathEscapeError, RootUnusableError

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO put in a file's place would block the open for ever without O_NONBLOCK.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def open_root(root: Path) -> Iterator[int]:
    """Yield a handle of the directory `root`, whose own path may contain links.

    Raises RootUnusableError.
    """
    try:
        handle = os.open(root, DIRECTORY)
    except OSError as error:
        raise RootUnusableError(
            f"{str(root)!r} cannot be used ({error.strerror}): give a readable directory"
        ) from error
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def open_parent(root_handle: int, path: str) -> Iterator[tuple[int, str]]:
    """Yield the handle of the directory that holds `path`, and the file's name in it.

    Raises PathEscapeError, and OSError when a component is missing, a link or no directory.
    """
    *directories, name = _components(path)
    handle = os.dup(root_handle)
    try:
        for directory in directories:
            below = open_directory(handle, directory)
            os.close(handle)
            handle = below
        yield handle, name
    finally:
        os.close(handle)


class Descent:
    """The directories on the way to the last path that was asked for, each opened once.

    It is meant for paths as a walk yields them: one directory is done with before the next. `make`
    makes those that are missing, with that mode; `leave` is called with the handle of each that is
    done with, the lower ones first. Where an error ends it, the handles are closed and nothing is
    called.
    """

    def __init__(
        self,
        root_handle: int,
        *,
        make: int | None = None,
        leave: Callable[[int], object] | None = None,
    ) -> None:
        self._root = root_handle
        self._make = make
        self._leave = leave
        self._way: list[tuple[str, int]] = []
        self._directory: str | None = None  # of the path asked for before, with its slash

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for _, handle in reversed(self._way):
            os.close(handle)
        self._way.clear()

    def parent_of(self, path: str) -> tuple[int, str]:
        """Return the handle of the directory that holds `path`, and the file's name in it.

        The handle is good until the next call. Raises PathEscapeError, and OSError when a
        component is missing, a link or no directory.
        """
        before, slash, name = path.rpartition("/")
        directory = before + slash
        if directory == self._directory:
            _components(name)
            return self._handle, name
        *directories, name = _components(path)
        same = 0
        for (known, _), wanted in zip(self._way, directories, strict=False):
            if known != wanted:
                break
            same += 1
        self._leave_to(same)
        for entered in directories[same:]:
            self._way.append((entered, self._enter(entered)))
        self._directory = directory
        return self._handle, name

    def finish(self) -> None:
        """Be done with all of them."""
        self._leave_to(0)

    @property
    def _handle(self) -> int:
        return self._way[-1][1] if self._way else self._root

    def _enter(self, directory: str) -> int:
        if self._make is not None:
            with suppress(FileExistsError):
                os.mkdir(directory, self._make, dir_fd=self._handle)
        return open_directory(self._handle, directory)

    def _leave_to(self, depth: int) -> None:
        self._directory = None
        while len(self._way) > depth:
            if self._leave is not None:
                self._leave(self._handle)
            _, handle = self._way.pop()
            os.close(handle)


def open_directory(parent_handle: int, name: str) -> int:
    """Return a handle of the directory `name`; raise OSError if it is a link or no directory."""
    return os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=parent_handle)


@contextmanager
def open_file(parent_handle: int, name: str) -> Iterator[int]:
    """Yield a read handle of `name`; raise OSError if it is a link or cannot be read."""
    handle = os.open(name, FILE, dir_fd=parent_handle)
    try:
        yield handle
    finally:
        os.close(handle)


def open_plain(path: Path) -> IO[bytes]:
    """Open a regular file of our own for reading; raise OSError, also where it is none."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return os.fdopen(handle, "rb")


def require_plain(path: str) -> None:
    """Raise PathEscapeError for what is no plain path below a root."""
    _components(path)


def _components(path: str) -> list[str]:
    components = path.split("/")
    for component in components:
        if component in {"", ".", ".."} or "\0" in component:
            raise PathEscapeError(f"{path!r} is not a plain path below its root")
    return components
