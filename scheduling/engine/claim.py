"""Claims: a ready run takes a slot of its job, under the job row's lock.

Slots are never counters: used = runs of the job that are queued, running or stopping, counted while
the job row is locked, so that two claimers cannot both take the last one (DESIGN rules 1 and 7).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Count

from scheduling.models import Job, Run
from scheduling.states import RunState
from scheduling.transitions import claim

BATCH = 200


def claim_ready(scope: str, *, now: datetime) -> Iterator[list[Run]]:
    """Claim the ready runs of a scope for which there is a slot; yield them page by page.

    Each page is to be published before the next is claimed: whoever claims has seconds to publish
    before others think it dead.
    """
    after: tuple[int, UUID] | None = None
    while candidates := _candidates(scope, after):
        if claimed := claim_runs([run.id for run in candidates], now=now):
            yield claimed
        after = (candidates[-1].priority, candidates[-1].id)
        if len(candidates) < BATCH:
            break


def claim_runs(run_ids: Sequence[UUID], *, now: datetime) -> list[Run]:
    """Claim those of the given runs that are still ready and have a slot."""
    with transaction.atomic():
        limits = _lock_jobs(run_ids)
        ready = (
            Run.objects.select_for_update(skip_locked=True, of=("self",))
            .open(RunState.READY)
            .filter(id__in=run_ids)
            .order_by("id")
        )
        chosen = _within_limits(sorted(ready, key=lambda run: (run.priority, run.id)), limits)
        claim(chosen, now=now)
    return chosen


def _candidates(scope: str, after: tuple[int, UUID] | None) -> list[Run]:
    """Return the next page of ready runs, in claim order, without locking."""
    ready = Run.objects.open(RunState.READY).filter(scope=scope).in_claim_order()
    if after is not None:
        priority, run_id = after
        same_priority = ready.filter(priority=priority, id__gt=run_id)
        ready = (same_priority | ready.filter(priority__gt=priority)).in_claim_order()
    return list(ready.only("id", "priority")[:BATCH])


def _lock_jobs(run_ids: Sequence[UUID]) -> dict[int, int]:
    """Lock the jobs of the runs; return their limits by job."""
    jobs = Job.objects.select_for_update().filter(
        id__in=Run.objects.filter(id__in=run_ids, job__isnull=False).values("job_id")
    )
    return {job.id: job.max_parallel for job in jobs.order_by("id").only("id", "max_parallel")}


def _within_limits(runs: Sequence[Run], limits: dict[int, int]) -> list[Run]:
    used = Counter(
        dict(
            Run.objects.holding_slot()
            .filter(job_id__in=limits)
            .order_by()
            .values_list("job_id")
            .annotate(Count("id"))
        )
    )
    chosen = []
    for run in runs:
        if run.job_id is not None:
            if used[run.job_id] >= limits[run.job_id]:
                continue
            used[run.job_id] += 1
        chosen.append(run)
    return chosen
