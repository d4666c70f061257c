"""Follows up ends at once: whom they free, and who gets the slot, need not wait for a beat.

Whoever commits an end does this behind it, for a few runs; the beat does the rest, and is the
safety net for all of it.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.engine.candidates import claimable_of
from scheduling.engine.claim import claim_runs
from scheduling.engine.publishing.publish import Publisher
from scheduling.engine.resolve import pass_on
from scheduling.models import Run
from scheduling.states import RunState

MOST_STARTED = 50


def follow_up(publisher: Publisher, run_ids: Sequence[UUID]) -> int:
    """Pass the ends of these runs on and give their slots to the next; return how many started.

    Only what goes to queues of the scope's own: who serves the others, a beat knows.
    """
    now = database_now()
    ended = Run.objects.filter(id__in=run_ids).values_list("id", "job_id", "office_id", "awaited")
    rows = list(ended)
    if awaited := [pk for pk, *_, is_awaited in rows if is_awaited]:
        pass_on(awaited, now=now)
    if not publisher.available:
        return 0
    claimed = _claim_beside(
        {job for _, job, _, _ in rows if job}, {office for *_, office, _ in rows if office}, now
    )
    return publisher.publish(claimed, now=now)


def _claim_beside(jobs: set[int], offices: set[int], now: datetime) -> list[Run]:
    """Claim what waits for a slot of these jobs and offices."""
    ready = Run.objects.in_scope(conf.SCHEDULER_SCOPE).open(RunState.READY)
    beside = ready.filter(Q(job_id__in=jobs) | Q(office_id__in=offices))
    own = beside.filter(queue__startswith=f"{conf.SCHEDULER_SCOPE}.")
    return claim_runs(claimable_of(own, most=MOST_STARTED), now=now, wait=True)
