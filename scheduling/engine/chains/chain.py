"""Chains: in queue mode the end of each planned run makes the next one (SPEC A8).

A chain has at most one open planned run: the newest of its job, by its tick. Whoever commits that
one's end calls `follow`, in a transaction of its own: the job's row is never locked behind a run's.
The beat does it for whoever could not (`due_links`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain

from django.db import transaction
from django.db.models import OuterRef, Subquery

from scheduling.bulk import update_rows
from scheduling.engine.aside import mark_aside, set_job_aside
from scheduling.engine.chains.links import new_link
from scheduling.engine.epochs import PLANNING, open_epochs
from scheduling.engine.hindrance import Hindrances
from scheduling.engine.one_by_one import each_alone, together_or_alone
from scheduling.errors import InvalidJob
from scheduling.models import Job, Run, ScheduleEpoch
from scheduling.models.job import RescheduleMode
from scheduling.recurrence import Chain
from scheduling.transitions import open_runs


def follow(job_ids: Sequence[int], *, now: datetime) -> list[Run]:
    """Plan the next link of each chain whose newest run has ended; return the new links.

    Anybody may call it, any number of times: under the job's lock, a chain whose newest run is
    open, or which is paused or disabled, is left alone.
    """
    links = together_or_alone(job_ids, partial(_follow, now=now), set_aside=set_job_aside)
    return list(chain.from_iterable(links))


@transaction.atomic
def _follow(job_ids: Sequence[int], *, now: datetime) -> list[Run]:
    chained = Job.objects.filter(
        id__in=job_ids, reschedule_mode=RescheduleMode.QUEUE, enabled=True, deleted_at=None
    )
    return plan_links(list(chained.select_for_update().order_by("id")), now=now)


def plan_links(jobs: Sequence[Job], *, now: datetime, resumed: bool = False) -> list[Run]:
    """Plan the next links of locked jobs, where one is missing; return and write them.

    `resumed`: the chain begins anew now, whatever was before.
    """
    if not jobs:
        return []
    standing = _Standing.of(jobs)
    follow_one = partial(_next_link, standing=standing, now=now, resumed=resumed)
    found = each_alone(jobs, follow_one, set_aside=mark_aside)
    links = [link for link in found if link is not None]
    open_runs(links)
    update_rows(jobs, PLANNING)
    return links


def resume_chain(job: Job, *, now: datetime) -> None:
    """Start the chain of a locked job again from now, if it is in queue mode: its pause is over."""
    if job.is_chained:
        plan_links([job], now=now, resumed=True)


@dataclass(frozen=True)
class _Standing:
    """What is known of some jobs besides their rows."""

    epochs: dict[int, ScheduleEpoch]
    newest: dict[int, Run]
    hindrances: Hindrances

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> "_Standing":
        ids = [job.pk for job in jobs]
        return cls(
            epochs=open_epochs(jobs), newest=_newest_runs(ids), hindrances=Hindrances.of(ids)
        )


def _newest_runs(job_ids: Sequence[int]) -> dict[int, Run]:
    """Return each job's planned run with the newest tick: one step into an index for each."""
    planned = Run.objects.filter(job=OuterRef("pk"), scheduled_for__isnull=False)
    newest = Subquery(planned.order_by("-scheduled_for").values("id")[:1])
    jobs = Job.objects.filter(id__in=job_ids).annotate(newest=newest)
    ids = list(jobs.values_list("newest", flat=True))
    looked_at = ("job_id", "epoch_id", "scheduled_for", "finished_at")
    return {run.job_id or 0: run for run in Run.objects.only(*looked_at).filter(id__in=ids)}


def _next_link(job: Job, *, standing: _Standing, now: datetime, resumed: bool) -> Run | None:
    """Return the link to be opened, if any, and set when the job falls due."""
    epoch, newest = standing.epochs.get(job.pk), standing.newest.get(job.pk)
    job.next_due_at = None
    if not job.is_chained or not job.enabled or epoch is None:
        return None
    if job.pk in standing.hindrances.paused:
        return None
    if newest is not None and newest.finished_at is None:
        job.next_due_at = newest.scheduled_for
        return None
    cooled_at = standing.hindrances.cooled_at(job)
    due = _due(job, epoch, newest, begins_at=now if resumed else None, earliest=cooled_at)
    if due is None or (epoch.ends_at is not None and due > epoch.ends_at):
        return None
    job.next_due_at = due
    job.planned_until = max(now, job.planned_until or now)
    return new_link(job, epoch, due, now)


def _due(
    job: Job,
    epoch: ScheduleEpoch,
    newest: Run | None,
    *,
    begins_at: datetime | None,
    earliest: datetime | None,
) -> datetime | None:
    """Return when the next link is due: later than the tick of the newest run in any case."""
    chain = epoch.recurrence()
    if not isinstance(chain, Chain):
        raise InvalidJob("reschedule_mode", f"is queue, but the schedule is {chain.in_words()}")
    ended_at = newest.finished_at if newest is not None else None
    if begins_at is None and (ended_at is None or ended_at <= epoch.from_at):
        begins_at = max(epoch.from_at, job.planned_until or epoch.from_at)
    ticks = [newest.scheduled_for] if newest is not None else []
    since = max(filter(None, (begins_at or ended_at, *ticks)))
    return chain.due_after(since, first=begins_at is not None, earliest=earliest)
