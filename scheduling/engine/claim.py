"""Claims: a ready run takes a slot of its job, under the job row's lock.

Slots are never counters: used = runs of the job that are queued, running or stopping, counted while
the job row is locked, so that two claimers cannot both take the last one (DESIGN rules 1 and 7).
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from uuid import UUID

from django.db import transaction

from scheduling.engine.aside import for_runs
from scheduling.engine.candidates import claimable
from scheduling.models import Job, Run
from scheduling.states import RunState
from scheduling.transitions import claim

# Of a run, so that a page of them is read without the rest.
WHAT_A_MESSAGE_SAYS = (
    *("id", "scope", "job_id", "task", "args", "params", "queue", "routing", "priority", "timeout"),
    *("state", "attempt", "attempt_id", "retry_count", "publish_count"),
)


def claim_ready(scope: str, *, now: datetime) -> list[Run]:
    """Claim a page of the ready runs of a scope for which there is a slot, in claim order.

    It is to be published before the next is claimed: whoever claims has seconds to publish before
    others think it dead.
    """
    claimed = for_runs(claimable(scope), partial(claim_runs, now=now), now=now)
    return list(chain.from_iterable(claimed))


def claim_runs(run_ids: Collection[UUID], *, now: datetime) -> list[Run]:
    """Claim those of the given runs that are still ready, have a slot and nobody else looks at."""
    with transaction.atomic():
        limits = _lock_jobs(run_ids)
        ready = (
            Run.objects.select_for_update(skip_locked=True, of=("self",))
            .open(RunState.READY)
            .filter(id__in=run_ids)
            .only(*WHAT_A_MESSAGE_SAYS)
            .order_by("id")
        )
        chosen = _within_limits(sorted(ready, key=lambda run: (run.priority, run.id)), limits)
        claim(chosen, now=now)
    return chosen


def _lock_jobs(run_ids: Collection[UUID]) -> dict[int, int]:
    """Lock the jobs of the runs but those that somebody else works on; return limits by job."""
    jobs = Job.objects.select_for_update(skip_locked=True).filter(
        id__in=Run.objects.filter(id__in=run_ids, job__isnull=False).values("job_id")
    )
    return dict(jobs.order_by("id").values_list("id", "max_parallel"))


def _within_limits(runs: Sequence[Run], limits: dict[int, int]) -> list[Run]:
    used = Run.objects.holding_slot().count_by_job(limits)
    chosen = []
    for run in runs:
        if run.job_id is not None:
            if used[run.job_id] >= limits.get(run.job_id, 0):
                continue
            used[run.job_id] += 1
        chosen.append(run)
    return chosen
