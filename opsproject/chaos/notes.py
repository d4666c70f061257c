"""What the tasks themselves write down, outside database and broker: the witness of the checker.

One line of JSON per event, appended by one `write` to one file, so that whatever is killed, lines
stay whole. Times are of the host's monotonic clock, which all processes share.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from opsproject.chaos.history import Execution
from scheduling.fence import Fence

FILE = "notes.jsonl"
RETURNED = "returned"


def notes_file() -> Path:
    """Return where the notes of this cluster are kept."""
    return Path(settings.OPS_DATA_DIR) / FILE


@contextmanager
def noting(fence: Fence | None) -> Iterator[None]:
    """Note the start, and how the block ended unless this process is killed in it."""
    _write("start", fence)
    try:
        yield
    except BaseException as error:
        _write("end", fence, outcome=type(error).__name__)
        raise
    _write("end", fence, outcome=RETURNED)


def note_alive(fence: Fence | None) -> None:
    """Note that the execution still goes on: of one that is killed, this is its known length."""
    _write("alive", fence)


def _write(event: str, fence: Fence | None, *, outcome: str = "") -> None:
    line = {
        "event": event,
        "fence": str(fence) if fence else None,
        "pid": os.getpid(),
        "monotonic": time.monotonic(),
        "wall": time.time(),
        "outcome": outcome,
    }
    file = os.open(notes_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{json.dumps(line)}\n".encode())
    finally:
        os.close(file)


def read_notes(lines: Iterable[str]) -> list[Execution]:
    """Put the events together: a start begins an execution, what its process adds belongs to it."""
    found: list[Execution] = []
    latest: dict[tuple[str | None, int], int] = {}  # (fence, pid): place in found
    for line in lines:
        note = json.loads(line)
        key = note["fence"], note["pid"]
        if note["event"] == "start":
            latest[key] = len(found)
            found.append(_started(note))
        else:
            place = latest[key]
            found[place] = found[place].seen(note["monotonic"], note["outcome"])
    return found


def _started(note: dict[str, Any]) -> Execution:
    fence = Fence.parse(note["fence"])
    return Execution(
        run=fence.run_id if fence else UUID(int=0),
        attempt=fence.attempt if fence else 0,
        pid=note["pid"],
        wall=note["wall"],
        began=note["monotonic"],
        last_seen=note["monotonic"],
    )
