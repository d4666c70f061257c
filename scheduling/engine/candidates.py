"""Which ready runs may be claimed, in claim order; reads, and locks nothing.

Usually they are simply the first. A job or an office at its limit may have any number of runs
waiting in front of everybody else's: then the database passes over them, and none is read here.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from scheduling.engine.slots import blocked, free_slots, offices_of
from scheduling.models import Job, Run
from scheduling.models.run import RunQuerySet
from scheduling.states import RunState

PAGE = 250  # as many runs as a transaction of less than 250 ms claims on a slow machine


class _Candidate(NamedTuple):
    id: UUID
    scope: str
    job_id: int | None
    office_id: int | None
    role: str


def claimable(scope: str, *, now: datetime) -> list[UUID]:
    """Return a page of ready runs with a free slot, as far as can be seen unlocked."""
    ready = Run.objects.in_scope(scope).open(RunState.READY).in_claim_order()
    first = _page(ready)
    chosen = _with_slot(first, now)
    if len(chosen) < len(first) == PAGE:
        return _with_slot(_page(ready.exclude(blocked(scope, now=now))), now)
    return chosen


def claimable_of(ready: RunQuerySet, *, most: int, now: datetime) -> list[UUID]:
    """Return the first of these ready runs that have a free slot; looks at no more than a page.

    A few are returned as they are: who claims them counts the slots anyway.
    """
    page = _page(ready.in_claim_order())
    return [run.id for run in page] if len(page) <= most else _with_slot(page, now)[:most]


def _page(ready: RunQuerySet) -> list[_Candidate]:
    return [_Candidate(*row) for row in ready.values_list(*_Candidate._fields)[:PAGE]]


def _with_slot(runs: Sequence[_Candidate], now: datetime) -> list[UUID]:
    if not runs:
        return []
    jobs = Job.objects.filter(id__in={run.job_id for run in runs if run.job_id})
    limits = dict(jobs.values_list("id", "max_parallel"))
    slots = free_slots(limits, list(offices_of(runs)), now=now)
    return [run.id for run in runs if slots.take(run)]
