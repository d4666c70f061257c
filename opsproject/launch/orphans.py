"""Processes whose parent died: on Linux they become our children, so that none is left behind.

Elsewhere there is no such adoption; what the supervisor stops is then all that can be stopped.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """From now on a descendant that loses its parent becomes a child of this process."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def stop_with_parent() -> None:
    """Have this process told to stop when the one that started it dies, even by SIGKILL."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def die_with_parent() -> None:
    """Have this process killed when the one that started it dies."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def bury_orphans(*, but: Container[int]) -> None:
    """Reap adopted children that have ended; `but` are those that their own waiters reap."""
    for pid in children():
        if pid not in but:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def kill_children() -> None:
    """Kill and reap every child, and what becomes our child by that, until none is left."""
    while left := children():
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def children() -> list[int]:
    """Return the ids of our children, ended ones that nobody reaped included."""
    while True:
        threads = Path("/proc/self/task").glob("*/children")
        try:
            return [int(pid) for thread in threads for pid in thread.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread ended just now: its children are another's, so look again


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)
