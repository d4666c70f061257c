"""Arrivals: a link whose message comes back from the delay queue claims its slot at the fence.

From pending to running in one go, under the job's row lock and within `max_parallel`. One that is
refused here (paused, edited since its message was sent, cancelled, too early, no slot) is the
beat's (`due_links`).
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from scheduling.engine.claim import claim_runs
from scheduling.engine.hindrance import Hindrances
from scheduling.fence import Fence
from scheduling.models import Job, Run
from scheduling.transitions import ANY, Terms, make_ready, start


def start_arrived(
    fences: Collection[Fence],
    *,
    worker_id: UUID,
    now: datetime,
    terms: Mapping[Fence, Terms] | None = None,
) -> set[Fence]:
    """Start those of the attempts that are links whose time has come; return which those are."""
    with transaction.atomic():
        won = claim_arrived(fences, now=now, terms=terms)
        return start(won, worker_id=worker_id, now=now, terms=terms) if won else set()


def claim_arrived(
    fences: Collection[Fence], *, now: datetime, terms: Mapping[Fence, Terms] | None = None
) -> list[Fence]:
    """Give a slot to those of the attempts that are links whose time has come; return these.

    The caller starts them in the same transaction.
    """
    first = [fence.run_id for fence in fences if fence.attempt == 1]
    arrived = Run.objects.waiting_links().filter(id__in=first, not_before__lte=now)
    links = dict(arrived.values_list("id", "job_id"))
    return [run.fence for run in _claim(links, terms or {}, now)] if links else []


def _claim(
    arrived: Mapping[UUID, int | None], terms: Mapping[Fence, Terms], now: datetime
) -> list[Run]:
    """Give links their slots, as far as they may run; here the jobs' locks are waited for."""
    job_ids = {job_id for job_id in arrived.values() if job_id}
    jobs = Job.objects.filter(id__in=job_ids, enabled=True, deleted_at=None).order_by("id")
    locked = list(jobs.select_for_update().values_list("id", flat=True))
    links = Run.objects.waiting_links().filter(
        id__in=arrived, job_id__in=locked, published_at__isnull=False
    )
    hindrances = Hindrances.of(locked)
    may_run = [
        link.pk
        for link in links.select_related("job")
        if terms.get(Fence(link.pk, 1), ANY).are_of(link)
        and hindrances.reason_to_skip(link, now=now) is None
    ]
    make_ready(may_run, now=now)
    return claim_runs(may_run, now=now)
