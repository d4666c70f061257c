"""What the API sends of why something is not running."""

from datetime import datetime

from ninja import Schema

from scheduling.explain.gate import Explanation, Gate
from scheduling.logs import configured_redactor


class GateOut(Schema):
    """One thing that may hold something back; `until`: when it opens by itself."""

    name: str
    open: bool
    says: str
    since: datetime | None
    until: datetime | None
    remedy: str

    @classmethod
    def of(cls, gate: Gate) -> "GateOut":
        """Read a gate; what it says may quote what somebody wrote."""
        return cls(
            name=gate.name,
            open=gate.open,
            says=configured_redactor().text(gate.says),
            since=gate.since,
            until=gate.until,
            remedy=gate.remedy,
        )


class ExplanationOut(Schema):
    """Why something is not running: the first closed gate, and all in the order of asking."""

    what: str
    state: str
    note: str
    blocking: GateOut | None
    gates: list[GateOut]

    @classmethod
    def of(cls, found: Explanation) -> "ExplanationOut":
        """Read an explanation."""
        return cls(
            what=found.what,
            state=found.state,
            note=configured_redactor().text(found.note),
            blocking=GateOut.of(found.blocking) if found.blocking else None,
            gates=[GateOut.of(gate) for gate in found.gates],
        )
