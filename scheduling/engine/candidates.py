"""Which ready runs may be claimed, in claim order; reads, and locks nothing.

Usually they are simply the first. A job at its limit may have any number of runs waiting in front
of everybody else's: then the database passes over them, and none of them is read here.
"""

from uuid import UUID

from django.db.models import Count, F, QuerySet

from scheduling.models import Run
from scheduling.states import RunState

PAGE = 250  # as many runs as a transaction of less than 250 ms claims on a slow machine


def claimable(scope: str) -> list[UUID]:
    """Return a page of ready runs whose jobs have a free slot, as far as can be seen unlocked."""
    ready = Run.objects.in_scope(scope).open(RunState.READY).in_claim_order()
    first = list(ready.values_list("id", "job_id")[:PAGE])
    if not first:
        return []
    full = set(_jobs_at_limit().filter(job_id__in={job_id for _, job_id in first}))
    if full and len(first) == PAGE:
        return list(ready.exclude(job_id__in=_jobs_at_limit()).values_list("id", flat=True)[:PAGE])
    return [run_id for run_id, job_id in first if job_id not in full]


def _jobs_at_limit() -> "QuerySet[Run, int]":
    """Jobs whose slots are all taken. What holds one is few, however much is waiting."""
    held = Run.objects.holding_slot().filter(job_id__isnull=False).order_by().values("job_id")
    return (
        held.annotate(runs=Count("id"))
        .filter(runs__gte=F("job__max_parallel"))
        .values_list("job_id", flat=True)
    )
