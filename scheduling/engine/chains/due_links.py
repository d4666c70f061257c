"""Due links: the beat starts those that wait in the database, and mends broken chains.

A link whose message waits at the broker is started by its arrival (`arrivals`); it is taken over
here when it has not been by a moment later, because the message was lost or refused.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from scheduling.engine.aside import for_runs, read_runs, set_job_aside
from scheduling.engine.chains.chain import follow
from scheduling.engine.hindrance import Hindrances
from scheduling.engine.one_by_one import together_or_alone
from scheduling.models import Job, Run
from scheduling.models.job import RescheduleMode
from scheduling.states import RunState, SkipReason
from scheduling.transitions import make_ready, skip

PAGE = 200
TAKE_OVER_AFTER = timedelta(seconds=2)


def due_chains(scope: str, *, now: datetime) -> list[int]:
    """Return a page of the jobs in queue mode whose next link is due, or not there.

    `next_due_at` is the tick of a chain's newest run for as long as that is open.
    """
    on_its_way = Q(published_at__isnull=False, not_before__gt=now - TAKE_OVER_AFTER)
    busy = Run.objects.open().filter(
        ~Q(state=RunState.PENDING) | Q(attempt__gt=0) | on_its_way,
        job=OuterRef("pk"),
        scheduled_for=OuterRef("next_due_at"),
    )
    chained = Job.objects.in_scope(scope).filter(
        ~Exists(busy), reschedule_mode=RescheduleMode.QUEUE, enabled=True, next_due_at__lte=now
    )
    return list(chained.order_by("next_due_at").values_list("id", flat=True)[:PAGE])


def tend_chains(job_ids: Sequence[int], *, now: datetime) -> list[Run]:
    """Make the links that are due ready, skip those that may not run, plan what then follows.

    Returns the new links, whose messages may wait at the broker.
    """
    links = together_or_alone(job_ids, partial(_tend, now=now), set_aside=set_job_aside)
    return list(chain.from_iterable(links))


def _tend(job_ids: Sequence[int], *, now: datetime) -> list[Run]:
    waiting = Run.objects.waiting_links().filter(job_id__in=job_ids, not_before__lte=now)
    links = read_runs(waiting.select_related("job"), now=now)
    hindrances = Hindrances.of(job_ids)
    may_run: dict[UUID, int] = {}
    may_not: dict[SkipReason, list[UUID]] = {}
    for link in links:
        reason = hindrances.reason_to_skip(link, now=now)
        if reason is None:
            may_run[link.pk] = link.job_id or 0
        else:
            may_not.setdefault(reason, []).append(link.pk)
    for_runs(list(may_run), partial(make_ready, now=now), now=now)
    for reason, ids in may_not.items():
        for_runs(ids, partial(skip, reason=reason, now=now), now=now)
    return follow(sorted({*job_ids} - {*may_run.values()}), now=now)
