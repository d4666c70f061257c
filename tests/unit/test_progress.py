"""How far a command is, is shown on a terminal and nowhere else."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

SCRIPT = """
from maintenance import progress
with progress.shown_on_terminal():
    progress.begin("verifying", 2048)
    progress.advance(1024)
    progress.advance(1024)
progress.advance(1)
"""


def test_a_terminal_is_shown_what_is_done_and_how_far_it_is() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    subprocess.run([sys.executable, "-c", SCRIPT], stderr=theirs, check=True)
    os.set_blocking(ours, False)
    shown = os.read(ours, 10_000).decode()
    os.close(theirs)
    os.close(ours)
    assert "verifying" in shown
    assert "2.00k" in shown


def test_a_file_is_shown_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
