"""SHA-256 beside the reading of a backup, which takes as long.

Not beside the writing of one: there the compressor's threads keep two processors busy already.
"""

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor

LARGE = 1 << 16  # for less it is not worth to wake a thread
THREADS = 2


class Sha256:
    """A digest whose large pieces another thread takes in, one at a time and in their order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pending: Future[None] | None = None

    def update(self, data: "bytes | bytearray | memoryview") -> None:
        """Take in the next bytes, which are not to be changed afterwards."""
        self._wait()
        if len(data) < LARGE:
            self._digest.update(data)
        else:
            self._pending = _threads().submit(self._digest.update, data)

    def hexdigest(self) -> str:
        """Return the hash of what was taken in so far, as hexadecimal digits."""
        self._wait()
        return self._digest.hexdigest()

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None


_pool: ThreadPoolExecutor | None = None


def _threads() -> ThreadPoolExecutor:
    global _pool  # noqa: PLW0603 one for the process
    if _pool is None:
        _pool = ThreadPoolExecutor(THREADS, thread_name_prefix="ops-sha256")
    return _pool


def _forget_threads() -> None:
    """A forked process has none of its parent's threads."""
    global _pool  # noqa: PLW0603
    _pool = None


os.register_at_fork(after_in_child=_forget_threads)
