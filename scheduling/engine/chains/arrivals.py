"""Arrivals: a link whose message comes back from the delay queue claims its slot at the fence.

From pending to running in one go, under the job's row lock and within `max_parallel`. One that is
refused here (paused, edited since its message was sent, cancelled, too early, no slot) is the
beat's (`due_links`).
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from scheduling.engine.claim import claim_runs
from scheduling.engine.hindrance import Hindrances
from scheduling.fence import Fence
from scheduling.models import Job, Run
from scheduling.transitions import make_ready, start


def start_arrived(
    fences: Collection[Fence],
    *,
    worker_id: UUID,
    now: datetime,
    limits: Mapping[Fence, timedelta] | None = None,
) -> set[Fence]:
    """Start those of the attempts that are links whose time has come; return which those are."""
    first = [fence.run_id for fence in fences if fence.attempt == 1]
    arrived = Run.objects.waiting_links().filter(id__in=first, not_before__lte=now)
    links = dict(arrived.values_list("id", "job_id"))
    if not links:
        return set()
    with transaction.atomic():
        claimed = _claim(list(links), {job_id for job_id in links.values() if job_id}, now)
        won = [run.fence for run in claimed]
        return start(won, worker_id=worker_id, now=now, limits=limits) if won else set()


def _claim(link_ids: Collection[UUID], job_ids: Collection[int], now: datetime) -> list[Run]:
    """Give links their slots, as far as they may run; here the jobs' locks are waited for."""
    jobs = Job.objects.filter(id__in=job_ids, enabled=True, deleted_at=None).order_by("id")
    locked = list(jobs.select_for_update().values_list("id", flat=True))
    links = Run.objects.waiting_links().filter(
        id__in=link_ids, job_id__in=locked, published_at__isnull=False
    )
    hindrances = Hindrances.of(locked)
    may_run = [
        link.pk
        for link in links.select_related("job")
        if hindrances.reason_to_skip(link, now=now) is None
    ]
    make_ready(may_run, now=now)
    return claim_runs(may_run, now=now)
