"""Shows on a terminal how far a backup, a verification or a restoration has come.

What reads and writes files says so here; it is shown where somebody has asked for that, a command
on a terminal, and costs next to nothing elsewhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

_bar: ContextVar["tqdm[Any] | None"] = ContextVar("progress", default=None)


@contextmanager
def shown_on_terminal() -> Iterator[None]:
    """Show on standard error what is done within, if that is a terminal."""
    bar: tqdm[Any]
    with tqdm(unit="B", unit_scale=True, unit_divisor=1024, leave=False, disable=None) as bar:
        token = _bar.set(bar)
        try:
            yield
        finally:
            _bar.reset(token)


def begin(what: str, total_bytes: int | None = None) -> None:
    """Say what begins now, in a word, and how much it is, if that is known."""
    bar = _bar.get()
    if bar is not None:
        bar.reset(total_bytes)
        bar.set_description(what)


def advance(size_bytes: int) -> None:
    """Say that a file of that size is done."""
    bar = _bar.get()
    if bar is not None:
        bar.update(size_bytes)
