"""Reads numbered events in their order, behind the last one that somebody has seen."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Max

from scheduling.models import RunEvent
from scheduling.models.office import DEFAULT_OFFICE

# By the field of an event, where it is read.
COLUMNS = {
    "seq": "seq",
    "type": "kind",
    "scope": "scope",
    "at": "at",
    "run_id": "run_id",
    "attempt": "attempt",
    "id": "run__name",
    "role": "run__role",
    "submission_id": "run__submission_id",
    "trigger_source": "run__trigger",
    "job_id": "run__job__job_id",
    "office_id": "run__office__office_id",
}


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event as it is told; what may change later is not part of it."""

    seq: int
    type: str
    scope: str
    at: datetime
    run_id: UUID
    attempt: int
    id: str  # the run's key in its submission
    role: str
    submission_id: UUID | None
    trigger_source: str
    job_id: str | None
    office_id: str

    def plain(self) -> dict[str, Any]:
        """Return it as JSON says it."""
        return {
            "seq": self.seq,
            "type": self.type,
            "at": self.at.isoformat(),
            "scope": self.scope,
            "office_id": self.office_id,
            "job_id": self.job_id,
            "run_id": str(self.run_id),
            "id": self.id,
            "submission_id": str(self.submission_id) if self.submission_id else None,
            "role": self.role,
            "attempt": self.attempt,
            "trigger_source": self.trigger_source,
        }


def events_after(seq: int, *, scope: str, limit: int, office_id: str | None = None) -> list[Event]:
    """Return the next numbered events of a scope, or of an office of it, oldest first."""
    events = RunEvent.objects.filter(scope=scope, seq__gt=seq)
    if office_id is not None:
        named = None if office_id == DEFAULT_OFFICE else office_id
        events = events.filter(run__office__office_id=named)
    rows = events.order_by("seq").values_list(*COLUMNS.values())[:limit]
    told = (dict(zip(COLUMNS, row, strict=True)) for row in rows)
    return [Event(**{**said, "office_id": said["office_id"] or DEFAULT_OFFICE}) for said in told]


def last_number() -> int:
    """Return the number of the newest event, 0 before the first."""
    return RunEvent.objects.aggregate(last=Max("seq"))["last"] or 0
