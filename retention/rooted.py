"""Opens files by their path below a directory handle: no symbolic link followed, no way out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retention.errors import PathEscapeError, RootUnusableError

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
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
def open_parent(root_handle: int, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the handle of the directory that holds `path`, and the file's name in it.

    `make` makes the directories that are missing. Raises PathEscapeError, and OSError when a
    component is missing, a link or no directory.
    """
    *directories, name = _components(path)
    handle = os.dup(root_handle)
    try:
        for directory in directories:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(directory, dir_fd=handle)
            below = open_directory(handle, directory)
            os.close(handle)
            handle = below
        yield handle, name
    finally:
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


def _components(path: str) -> list[str]:
    components = path.split("/")
    if any(component in {"", ".", ".."} or "\0" in component for component in components):
        raise PathEscapeError(f"{path!r} is not a plain path below its root")
    return components
