"""Runs a function in a forked process and stops it at each system call that changes a file.

By ptrace, without a compiler or strace: x86-64 Linux only. The calls are counted from 1; at each
the caller says whether the process goes on, dies before it, or is told that the call failed.
"""

import ctypes
import os
import platform
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TRACEME, POKEUSER, GETREGS, SYSCALL, SETOPTIONS = 0, 6, 12, 24, 0x4200
GOOD_STOPS, DIES_WITH_US = 0x1, 0x100000
REGISTERS = 27  # of struct user_regs_struct
RAX, RDI, RSI, R10, ORIG_RAX, RDX = 10, 14, 13, 7, 15, 12
WORD = 8
O_CREAT = os.O_CREAT

# Number -> name, and which argument is a handle or a path: all that writes, names, syncs, removes.
CALLS: Final = {
    1: "write", 18: "pwrite64", 20: "writev", 74: "fsync", 75: "fdatasync", 77: "ftruncate",
    82: "rename", 83: "mkdir", 84: "rmdir", 86: "link", 87: "unlink", 91: "fchmod", 93: "fchown",
    257: "openat", 258: "mkdirat", 263: "unlinkat", 264: "renameat", 265: "linkat",
    280: "utimensat", 316: "renameat2",
}  # fmt: skip
# Where a call has its names: the registers of a directory's handle (None: of no directory) and of
# the name in it; a second pair is where a link or a rename leads to.
NAMES: Final[dict[str, list[tuple[int | None, int]]]] = {
    "rename": [(None, RDI), (None, RSI)], "link": [(None, RDI), (None, RSI)],
    "mkdir": [(None, RDI)], "rmdir": [(None, RDI)], "unlink": [(None, RDI)],
    "openat": [(RDI, RSI)], "mkdirat": [(RDI, RSI)], "unlinkat": [(RDI, RSI)],
    "renameat": [(RDI, RSI), (RDX, R10)], "renameat2": [(RDI, RSI), (RDX, R10)],
    "linkat": [(RDI, RSI), (RDX, R10)],
}  # fmt: skip
IS_SUPPORTED = sys.platform == "linux" and platform.machine() == "x86_64"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long
_Registers = ctypes.c_ulonglong * REGISTERS


@dataclass(frozen=True)
class Call:
    """One system call: its number among those that count, its name, and the files it is about."""

    number: int
    name: str
    path: str
    to: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.name, self.path, self.to)))


@dataclass(frozen=True)
class Fails:
    """The call is not made; the process is told this error number."""

    errno: int


class Dies:
    """The process is killed before the call."""


Decision = None | Fails | Dies


def run_traced(work: Callable[[], object], decide: Callable[[Call], Decision]) -> int:
    """Run `work` in a child; return 0, its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        _work(work)
    os.waitpid(child, 0)  # it stops itself
    _ptrace(SETOPTIONS, child, 0, GOOD_STOPS | DIES_WITH_US)
    number, entering = 0, True
    fails: Fails | None = None
    passed_on = 0
    while True:
        _ptrace(SYSCALL, child, 0, passed_on)
        _, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        passed_on = 0
        if os.WSTOPSIG(status) != signal.SIGTRAP | 0x80:
            passed_on = os.WSTOPSIG(status)
            continue
        if entering:
            call = _call(child, number + 1)
            if call is not None:
                number += 1
                decision = decide(call)
                if isinstance(decision, Dies):
                    os.kill(child, signal.SIGKILL)
                    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                if isinstance(decision, Fails):
                    fails = decision
                    _ptrace(POKEUSER, child, ORIG_RAX * WORD, -1)
        elif fails is not None:
            _ptrace(POKEUSER, child, RAX * WORD, -fails.errno)
            fails = None
        entering = not entering


def _work(work: Callable[[], object]) -> None:
    code = 1
    try:
        _ptrace(TRACEME, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        work()
        code = 0
    finally:
        os._exit(code)


def _call(pid: int, number: int) -> Call | None:
    registers = _Registers()
    _ptrace(GETREGS, pid, 0, ctypes.addressof(registers))
    name = CALLS.get(registers[ORIG_RAX])
    if name is None or (name == "openat" and not registers[RDX] & O_CREAT):
        return None
    if name in NAMES:
        names = [_named(pid, registers, *where) for where in NAMES[name]]
        return Call(number, name, *names)
    path = _path_of(pid, registers[RDI])
    return Call(number, name, path) if path.startswith("/") else None


def _named(pid: int, registers: Any, directory: int | None, name: int) -> str:
    """Return the absolute path of a name, however it was given."""
    text = _text(pid, registers[name])
    if text.startswith("/") or directory is None:
        return text
    return f"{_path_of(pid, registers[directory])}/{text}"


def _path_of(pid: int, handle: int) -> str:
    """Return the path of an open file; pipes and sockets have none."""
    try:
        return str(Path(f"/proc/{pid}/fd/{handle}").readlink())
    except OSError:
        return ""


def _text(pid: int, address: int) -> str:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return os.fsdecode(memory.read(4096).partition(b"\0")[0])


def _ptrace(request: int, pid: int, address: int, data: int) -> None:
    if _libc.ptrace(request, pid, address, data & 0xFFFFFFFFFFFFFFFF) == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"ptrace {request}: {os.strerror(error)}")
