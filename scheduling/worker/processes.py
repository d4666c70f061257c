"""Processes and their groups as the kernel tells them, through /proc.

A pool process leads a process group, so that what a task has started can be found and ended with
it. Process ids are used again: a process is meant by its id and its start.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
STATE, GROUP, START = 0, 2, 19  # fields of /proc/<pid>/stat, counted behind the name
DEAD = frozenset("ZXx")

Identity = tuple[int, int]  # process id, start in clock ticks since the boot


def this_host() -> str:
    """Name the boot and the pid namespace: within both, and only there, a process id means one."""
    boot = _read(PROC / "sys/kernel/random/boot_id").strip()
    namespace = ""
    with suppress(OSError):
        namespace = str((PROC / "self/ns/pid").readlink())
    return f"{boot} {namespace}".strip()


def identity(pid: int) -> Identity | None:
    """Return the process with its start; None if there is none, or it is dead and not reaped."""
    fields = _stat(pid)
    return (pid, int(fields[START])) if fields and fields[STATE] not in DEAD else None


def members(group: int) -> list[int]:
    """Return the living processes of a group."""
    return [pid for pid, fields in _every() if int(fields[GROUP]) == group]


def lead_a_group() -> None:
    """Make this process the leader of a group of its own."""
    with suppress(PermissionError):  # a session leader leads its group already
        os.setpgid(0, 0)


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal every process of a group led by `group`, or the process alone if it leads none."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)
        return
    with suppress(ProcessLookupError):
        os.kill(group, number)


def end_others_of_own_group() -> None:
    """Kill what this process has started and left running in its group."""
    own = os.getpid()
    if os.getpgid(0) != own:
        return
    while others := [pid for pid in members(own) if pid != own]:
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _every() -> Iterator[tuple[int, list[str]]]:
    for entry in os.listdir(PROC):  # noqa: PTH208 a list of names is all that is needed
        if entry.isdigit() and (fields := _stat(int(entry))) and fields[STATE] not in DEAD:
            yield int(entry), fields


def _stat(pid: int) -> list[str]:
    """Return the fields behind the name, which may itself hold spaces and brackets."""
    return _read(PROC / str(pid) / "stat").rpartition(") ")[2].split()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
