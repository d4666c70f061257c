"""Claims: a ready run takes a slot of its job, its office and its role, under their rows' locks.

The slots are counted while the rows are locked, so that two claimers cannot both take the last one
(DESIGN rules 1 and 7). Lock order: offices, jobs, runs.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from uuid import UUID

from django.db import transaction

from scheduling.engine.aside import for_runs
from scheduling.engine.slots import Slots, free_slots, offices_of
from scheduling.models import Job, Office, Run
from scheduling.states import RunState
from scheduling.transitions import claim

# Of a run, so that a page of them is read without the rest.
WHAT_A_MESSAGE_SAYS = (
    *("id", "scope", "job_id", "office_id", "role", "task", "args", "params", "queue", "routing"),
    *("priority", "timeout", "state", "attempt", "attempt_id", "retry_count", "publish_count"),
    *("reporting", "trigger", "scheduled_for", "epoch_id", "expires_at", "max_retries"),
)


def claim_page(run_ids: Sequence[UUID], *, now: datetime) -> list[Run]:
    """Claim those of a page that nobody is working on; one that spoils it is set aside.

    It is to be published before the next is claimed: whoever claims has seconds to publish before
    others think it dead.
    """
    claimed = for_runs(run_ids, partial(claim_runs, now=now), now=now)
    return list(chain.from_iterable(claimed))


def claim_runs(run_ids: Collection[UUID], *, now: datetime, wait: bool = False) -> list[Run]:
    """Claim those of the given runs, of one scope, that are still ready and have a slot.

    What somebody else is working on is left to him; `wait` says to wait for him instead, as one
    who knows of a slot that was freed meanwhile must.
    """
    if not run_ids:
        return []
    with transaction.atomic():
        slots = _lock_slots(run_ids, now, skip_locked=not wait)
        ready = (
            Run.objects.select_for_update(skip_locked=True, of=("self",))
            .open(RunState.READY)
            .filter(id__in=run_ids)
            .only(*WHAT_A_MESSAGE_SAYS)
            .order_by("id")
        )
        in_order = sorted(ready, key=lambda run: (run.priority, run.id))
        chosen = [run for run in in_order if slots.take(run)]
        claim(chosen, now=now)
    return chosen


def _lock_slots(run_ids: Collection[UUID], now: datetime, *, skip_locked: bool) -> Slots:
    """Lock what limits the runs, and count; there is nothing free of what is locked elsewhere."""
    runs = list(Run.objects.filter(id__in=run_ids).only("scope", "job_id", "office_id", "role"))
    offices = list(offices_of(runs))
    locked = _lock_offices(offices, skip_locked=skip_locked)
    job_ids = {run.job_id for run in runs if run.job_id is not None}
    jobs = Job.objects.select_for_update(skip_locked=skip_locked).filter(id__in=job_ids)
    limits = dict.fromkeys(job_ids, 0) | dict(jobs.order_by("id").values_list("id", "max_parallel"))
    slots = free_slots(limits, locked, now=now)
    slots.close(office for office in offices if office not in locked)
    return slots


def _lock_offices(offices: Sequence[Office], *, skip_locked: bool) -> list[Office]:
    """Lock their rows, and read them anew; new runs may still refer to them."""
    if not offices:
        return []
    rows = Office.objects.select_for_update(skip_locked=skip_locked, no_key=True)
    return list(rows.filter(id__in=[office.pk for office in offices]).order_by("id"))
