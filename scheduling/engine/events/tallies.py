"""Keeps count of how many runs of each office ended how, behind the numbered events (SPEC C2).

Counting a million runs takes a database a while, and a counter that each end writes would make them
wait for each other. So a reader with a cursor adds up what happened, and whoever asks adds what is
behind the cursor.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from scheduling.models import Attempt, EventCursor, Office, OfficeTally, RunEvent
from scheduling.models.event import EventKind

PAGE = 1_000
MOST_TRIES = 5
FIELD_OF_KIND = {
    EventKind.COMPLETED: "done",
    EventKind.FAILED: "failed",
    EventKind.TIMEOUT: "timeout",
    EventKind.CANCELLED: "cancelled",
}


@dataclass
class Ended:
    """How many runs ended how; of `timed` ones that are done, how many seconds they took."""

    done: int = 0
    failed: int = 0
    timeout: int = 0
    cancelled: int = 0
    timed: int = 0
    done_seconds: float = 0.0

    def add(self, kind: str, took: timedelta | None, *, times: int = 1) -> None:
        """Count an end, or with -1 take it back."""
        name = FIELD_OF_KIND[EventKind(kind)]
        setattr(self, name, getattr(self, name) + times)
        if kind == EventKind.COMPLETED and took is not None:
            self.timed += times
            self.done_seconds += times * took.total_seconds()

    def __add__(self, other: "Ended") -> "Ended":
        names = [field.name for field in fields(self)]
        return Ended(**{name: getattr(self, name) + getattr(other, name) for name in names})


class _Event(NamedTuple):
    id: int
    seq: int | None
    kind: str
    run_id: UUID
    attempt: int
    office_id: int | None


def fold_events(scope: str) -> bool:
    """Add the next events to the tallies of a scope; return whether there may be more.

    What another reader is at work on is left to him.
    """
    with transaction.atomic():
        cursor = _cursor(scope)
        if cursor is None:
            return False
        events = _read(
            RunEvent.objects.filter(scope=scope, seq__gt=cursor.seq).order_by("seq")[:PAGE]
        )
        if not events:
            return False
        for office_id, ended in _ended(events).items():
            _add(scope, office_id, ended)
        cursor.seq = events[-1].seq or cursor.seq
        cursor.save(update_fields=["seq"])
    return len(events) == PAGE


def ended_of(office: Office) -> Ended:
    """Return how many runs of an office have ended how, to this moment."""
    pk = None if office.is_default else office.pk
    for _ in range(MOST_TRIES):
        before = _position(office.scope)
        row = OfficeTally.objects.filter(scope=office.scope, office=pk).first()
        if _position(office.scope) == before:
            break
    names = [field.name for field in fields(Ended)]
    kept = Ended(**{name: getattr(row, name) for name in names}) if row else Ended()
    behind = RunEvent.objects.filter(Q(seq__gt=before) | Q(seq=None), scope=office.scope)
    return kept + _ended(_read(behind.filter(run__office=pk).order_by("id"))).get(pk, Ended())


def _position(scope: str) -> int:
    return EventCursor.objects.filter(name=_name(scope)).values_list("seq", flat=True).first() or 0


def _cursor(scope: str) -> EventCursor | None:
    EventCursor.objects.get_or_create(name=_name(scope))
    return EventCursor.objects.select_for_update(skip_locked=True).filter(name=_name(scope)).first()


def _name(scope: str) -> str:
    return f"tally:{scope}"


def _read(events: Iterable[RunEvent]) -> list[_Event]:
    names = ("id", "seq", "kind", "run_id", "attempt", "run__office_id")
    return [_Event(*row) for row in events.values_list(*names)]  # type: ignore[attr-defined]


def _ended(events: Sequence[_Event]) -> dict[int | None, Ended]:
    """Return by office what these events add: an end, or that one was opened again."""
    undone = _ends_before([event for event in events if event.kind == EventKind.RETRYING])
    ends = [event for event in events if event.kind in FIELD_OF_KIND]
    took = _durations([*ends, *undone])
    by_office: dict[int | None, Ended] = defaultdict(Ended)
    for event in ends:
        by_office[event.office_id].add(event.kind, took.get((event.run_id, event.attempt)))
    for event in undone:
        by_office[event.office_id].add(
            event.kind, took.get((event.run_id, event.attempt)), times=-1
        )
    return by_office


def _ends_before(retries: Sequence[_Event]) -> list[_Event]:
    """Return the ends that an operator's retry took back; most retries follow no end."""
    if not retries:
        return []
    runs = {event.run_id for event in retries}
    told = _read(RunEvent.objects.filter(run__in=runs).order_by("id"))
    of_run: dict[UUID, list[_Event]] = defaultdict(list)
    for event in told:
        of_run[event.run_id].append(event)
    before = (
        next((e for e in reversed(of_run[retry.run_id]) if e.id < retry.id), None)
        for retry in retries
    )
    return [event for event in before if event is not None and event.kind in FIELD_OF_KIND]


def _durations(ends: Sequence[_Event]) -> dict[tuple[UUID, int], timedelta]:
    """Return how long the attempts took that are done, by run and number."""
    done = {event.run_id for event in ends if event.kind == EventKind.COMPLETED}
    if not done:
        return {}
    attempts = Attempt.objects.filter(run__in=done, finished_at__isnull=False)
    rows = attempts.values_list("run_id", "number", "started_at", "finished_at")
    return {(run, number): end - start for run, number, start, end in rows if end is not None}


def _add(scope: str, office_id: int | None, ended: Ended) -> None:
    changes = {field.name: F(field.name) + getattr(ended, field.name) for field in fields(ended)}
    rows = OfficeTally.objects.filter(scope=scope, office=office_id)
    if not rows.update(**changes):
        values = {field.name: getattr(ended, field.name) for field in fields(ended)}
        OfficeTally.objects.create(scope=scope, office_id=office_id, **values)
