"""A gate: one thing that may hold something back, whether it does, and what would open it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Gate:
    """`name` is stable; `says` is a sentence. A closed one opens by itself at `until`, if ever."""

    name: str
    open: bool
    says: str
    since: datetime | None = None
    until: datetime | None = None
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why something is not running: its gates, in the order in which they are asked.

    `note`: since when it runs, or why it ended, where it is past all gates.
    """

    what: str
    state: str
    gates: Sequence[Gate] = ()
    note: str = ""

    @property
    def blocking(self) -> Gate | None:
        """The first gate that is closed; None where nothing holds it back."""
        return next((gate for gate in self.gates if not gate.open), None)


def opened(name: str, says: str) -> Gate:
    """Return a gate that holds nothing back."""
    return Gate(name=name, open=True, says=says)


def closed(
    name: str,
    says: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    remedy: str = "",
) -> Gate:
    """Return a gate that holds back, since and until when, and what would open it."""
    return Gate(name=name, open=False, says=says, since=since, until=until, remedy=remedy)
