"""All that a process has started, in whatever group or session; read from Linux's /proc."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Return the ids of a process's children, ended ones that nobody reaped included."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ended just now
            found += map(int, thread.read_text().split())
    return found


def descendants_of(pid: int) -> list[int]:
    """Return the ids of all below a process, parents first."""
    found = children_of(pid)
    for child in found:  # grows meanwhile
        found += children_of(child)
    return found


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
