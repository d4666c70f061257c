"""Follows up at once: whom an end frees, and who gets its slot, need not wait for a beat.

Whoever commits an end does this behind it, and an operator may ask for it, for a few runs; the beat
does the rest, and is the safety net for all of it.
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
from scheduling.engine.resolve import make_due_ready, pass_on
from scheduling.models import Office, Run
from scheduling.models.run import RunQuerySet
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
    jobs = {job for _, job, _, _ in rows if job}
    offices = {office for *_, office, _ in rows if office}
    beside = Run.objects.in_scope(conf.SCHEDULER_SCOPE)
    return _start(publisher, beside.filter(Q(job_id__in=jobs) | Q(office_id__in=offices)), now=now)


def start_waiting(publisher: Publisher, office: Office) -> int:
    """Do for an office what a turn of a beat does; return how many runs were started."""
    now = database_now()
    runs = Run.objects.of_office(office)
    ended = runs.ended_but_awaited().order_by("finished_at").values_list("id", flat=True)
    pass_on(list(ended[:MOST_STARTED]), now=now)
    make_due_ready(runs, now=now)
    return _start(publisher, runs, now=now)


def _start(publisher: Publisher, runs: RunQuerySet, *, now: datetime) -> int:
    """Claim what waits for a slot, and publish it."""
    if not publisher.available:
        return 0
    own = runs.open(RunState.READY).filter(queue__startswith=f"{conf.SCHEDULER_SCOPE}.")
    claimed = claim_runs(claimable_of(own, most=MOST_STARTED, now=now), now=now, wait=True)
    return publisher.publish(claimed, now=now)
