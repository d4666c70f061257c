"""Packs short runs: one message stands for many runs of a task that declares it.

A task says `runs_per_message=50` where it is declared, and with that: my runs are short, and one
may be repeated because another of its message was killed. Whatever fails goes alone afterwards.

Only runs with the same timeout travel together; it is the soft limit of each. In the ledger all
start when a worker takes the message and end when it has done the last: that is what a run seems
to have lasted, and its deadline is the sum of their timeouts, and the margin, after the start.
One that ignores its soft limit ends the message before that: all go back uncharged, and alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from celery import Celery

from scheduling.models import Run

DECLARATION = "runs_per_message"
MOST = 200  # runs a message


@dataclass(frozen=True)
class Batch:
    """Several runs of one task, queue and routing, as one thing to be sent."""

    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run that says where all of them go."""
        return self.runs[0]

    @property
    def id(self) -> UUID:
        """Tell batches of one delivery apart."""
        return self.first.id

    @property
    def attempt_id(self) -> UUID | None:
        """The id of the message."""
        return self.first.attempt_id

    @property
    def queue(self) -> str:
        """Where the message goes."""
        return self.first.queue


Parcel = Run | Batch


def size_for(app: Celery, task: str) -> int:
    """Return how many runs a message of this task may stand for."""
    declared = getattr(app.tasks.get(task), DECLARATION, 1)
    return min(declared, MOST) if isinstance(declared, int) and declared > 1 else 1


def pack(app: Celery, runs: Sequence[Run]) -> list[Parcel]:
    """Return the runs in their order, those that may travel together as batches."""
    parcels: list[Parcel] = []
    waiting: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        size = size_for(app, run.task) if run.attempt == 1 and not run.routing else 1
        if size == 1:
            parcels.append(run)
            continue
        together = waiting.setdefault((run.task, run.queue, run.timeout), [])
        together.append(run)
        if len(together) == size:
            parcels.append(Batch(tuple(together)))
            together.clear()
    return parcels + [
        Batch(tuple(together)) if len(together) > 1 else together[0]
        for together in waiting.values()
        if together
    ]


def runs_of(parcel: Parcel) -> Sequence[Run]:
    """Return the runs in a parcel."""
    return parcel.runs if isinstance(parcel, Batch) else (parcel,)
