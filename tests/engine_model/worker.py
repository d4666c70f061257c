"""A worker of the model: what it holds in its hands, and its rows in the database.

It asks and reports as `scheduling.worker` does: `heartbeat`, `recorder`, `stopper`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models import F

from scheduling.fence import Fence
from scheduling.models import WorkerProcess
from scheduling.transitions import release
from tests.engine_model.beat import SCOPE


@dataclass
class Worker:
    """One process; `row` is what the ledger knows it by, a new one after it was given up."""

    can_stop: bool
    row: UUID
    hands: list[Fence] = field(default_factory=list)  # attempts whose processes live here
    steady: bool = True  # it has shown life since it was frozen
    frozen: bool = False
    gone: bool = False

    @classmethod
    def born(cls, now: datetime, *, can_stop: bool = True) -> "Worker":
        """Return a worker that has registered."""
        return cls(can_stop=can_stop, row=_registered(now, can_stop=can_stop))

    @property
    def awake(self) -> bool:
        """Whether it runs."""
        return not self.frozen and not self.gone

    def take(self, turn: str, now: datetime) -> None:
        """Freeze, thaw or end in one of the ways in which a worker ends."""
        if turn in {"freezes", "thaws"}:
            self.frozen, self.steady = turn == "freezes", False
            return
        if self.awake and turn == "is stopped and gives back":
            release(self.hands, now=now)
        if self.awake and turn != "is killed":
            WorkerProcess.objects.filter(id=self.row).update(stopped_at=now)
        self.gone, self.hands = True, []


def show_life(workers: Iterable[Worker], now: datetime) -> None:
    """Raise the counters of those awake; who was given up meanwhile comes back as a new row."""
    awake = {worker.row: worker for worker in workers if worker.awake}
    rows = WorkerProcess.objects.live().filter(id__in=awake)
    if rows.update(beat_no=F("beat_no") + 1) < len(awake):
        for row in set(awake) - set(rows.values_list("id", flat=True)):
            awake[row].row = _registered(now, can_stop=awake[row].can_stop)
    for worker in awake.values():
        worker.steady = True


def _registered(now: datetime, *, can_stop: bool) -> UUID:
    """Return the id of a new row: a small number, so that an example is the same twice."""
    return WorkerProcess.objects.create(
        id=UUID(int=WorkerProcess.objects.count() + 1),
        scope=SCOPE, hostname="w@model", pid=1, pool="prefork" if can_stop else "solo",
        concurrency=4, can_stop=can_stop, started_at=now,
    ).pk  # fmt: skip
