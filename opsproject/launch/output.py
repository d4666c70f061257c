"""One stream of whole lines from many processes, each marked with the name of its source."""

import os
import selectors
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import BinaryIO

CHUNK_BYTES = 65_536
LONGEST_LINE_BYTES = 1_048_576


class LinePrinter:
    """Prints `name | line` for every line that comes out of its pipes.

    A thread reads, so that the rest of `up` never waits for a slow terminal. When the reader of
    our own output is gone (`up | head`), `on_closed` is called once and what follows is dropped.
    """

    def __init__(
        self,
        names: Iterable[str],
        *,
        to: BinaryIO,
        on_closed: Callable[[], None],
    ) -> None:
        names = list(names)
        self._pipes = {name: os.pipe() for name in names}
        self._width = max(map(len, names))
        self._rest = dict.fromkeys(names, b"")
        self._to = to
        self._on_closed = on_closed
        self._lost = False
        self._thread = threading.Thread(target=self._read_all, name="output", daemon=True)

    def write_fd(self, name: str) -> int:
        """Return the end of the pipe that a process is to write to."""
        return self._pipes[name][1]

    def write_fds(self) -> list[int]:
        """Return all of these ends."""
        return [write_fd for _, write_fd in self._pipes.values()]

    def start(self) -> None:
        """Begin to read; the writing ends are closed here, they belong to the processes now."""
        for write_fd in self.write_fds():
            os.close(write_fd)
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait until all processes have closed their ends and everything is printed."""
        self._thread.join(timeout)

    def say(self, line: str, *, name: str = "up") -> None:
        """Print a line of our own between theirs."""
        self._print(name, line.encode())

    def _read_all(self) -> None:
        with selectors.DefaultSelector() as selector:
            for name, (read_fd, _) in self._pipes.items():
                selector.register(read_fd, selectors.EVENT_READ, name)
            while selector.get_map():
                for key, _ in selector.select():
                    if not self._read(key.data, key.fd):
                        selector.unregister(key.fd)
                        os.close(key.fd)

    def _read(self, name: str, fd: int) -> bool:
        """Print the lines that are complete; return False at the end of the pipe."""
        chunk = os.read(fd, CHUNK_BYTES)
        *lines, rest = (self._rest[name] + chunk).split(b"\n")
        if not chunk or len(rest) > LONGEST_LINE_BYTES:
            lines, rest = [*lines, *filter(None, [rest])], b""
        self._rest[name] = rest
        for line in lines:
            self._print(name, line)
        return bool(chunk)

    def _print(self, name: str, line: bytes) -> None:
        """Write one whole line at once, so that two sources never share one."""
        if self._lost:
            return
        try:
            self._to.write(b"%s | %s\n" % (name.ljust(self._width).encode(), line.rstrip(b"\r")))
            self._to.flush()
        except (OSError, ValueError):
            self._lost = True
            with suppress(Exception):
                self._on_closed()
