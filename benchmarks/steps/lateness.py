"""Reads how late task bodies ran, from the stamps that they left and the ledger's ticks."""

from pathlib import Path
from uuid import UUID

from scheduling.models import Attempt


def run(path: str) -> list[float]:
    """Return, for each stamped attempt, the seconds from its tick to its body."""
    stamps = dict(line.split() for line in Path(path).read_text(encoding="utf-8").splitlines())
    attempts = Attempt.objects.filter(id__in=map(UUID, stamps), number=1)
    ticks = attempts.values_list("id", "run__scheduled_for")
    return [float(stamps[str(attempt_id)]) - tick.timestamp() for attempt_id, tick in ticks if tick]
