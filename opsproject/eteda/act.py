"""Act: the one effect of the loop, a line in the journal."""

from datetime import UTC, datetime
from pathlib import Path

from opsproject.eteda.decide import Decision
from opsproject.eteda.files import append_line


def act(decision: Decision, *, journal: Path, snapshot: Path) -> None:
    """Append the decision and the name of its snapshot to the journal."""
    append_line(
        journal,
        {
            "at": datetime.now(tz=UTC).isoformat(timespec="milliseconds"),
            "decision": decision.course,
            "reasons": decision.reasons,
            "snapshot": snapshot.name,
        },
    )
