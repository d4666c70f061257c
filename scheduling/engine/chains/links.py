"""Links: the planned runs of a chain, and how one that still waits is taken back (SPEC A8).

A link waits as `pending`, holding no slot, with `not_before` = when it is due; `scheduled_for` is
the same instant. When a waiting link is withdrawn, `scheduled_for` moves back to that moment, so
that it lies within its epoch and cannot collide with a tick of the next schedule. The caller holds
the job's lock.
"""

from collections.abc import Iterable
from datetime import datetime

from uuid_utils.compat import uuid7

from scheduling.bulk import update_rows
from scheduling.engine.new_run import new_run
from scheduling.models import Job, Run, ScheduleEpoch
from scheduling.models.run import RunQuerySet
from scheduling.recurrence import Chain
from scheduling.states import RunState, SkipReason, Trigger
from scheduling.transitions import cancel, skip
from scheduling.verdicts import INSTANT

CHAIN_HEADER = "ops_chain"  # on a link's messages: the job whose next link follows its end
SCHEDULE_CHANGED = "schedule_changed"


def new_link(job: Job, epoch: ScheduleEpoch, due: datetime, now: datetime) -> Run:
    """Return an unsaved link; a message that waits at the broker bears its first attempt's id."""
    link = new_run(job, trigger=Trigger.SCHEDULER, now=now)
    link.state, link.ready_at = RunState.PENDING, None
    link.epoch, link.scheduled_for, link.not_before = epoch, due, due
    link.attempt_id = uuid7()
    headers = {**job.routing.get("headers", {}), CHAIN_HEADER: job.pk}
    link.routing = {**job.routing, "headers": headers}
    expires_at = due + job.expires_after if job.expires_after else None
    link.expires_at = min(filter(None, (expires_at, epoch.ends_at)), default=None)
    return link


def refresh_links(jobs: Iterable[Job], *, now: datetime) -> None:
    """Make the waiting links of edited jobs say what the jobs say now: their ticks are to come.

    A message that waits at the broker says something else then, and is refused when it arrives.
    """
    edited = {job.pk: job for job in jobs if job.is_chained}
    if not edited:
        return
    waiting = Run.objects.waiting_links().select_for_update(of=("self",)).select_related("epoch")
    fresh = []
    for link in waiting.filter(job_id__in=edited).order_by("id"):
        if link.epoch is not None and link.not_before is not None:
            fresh.append(new_link(edited[link.job_id or 0], link.epoch, link.not_before, now))
            fresh[-1].id = link.id
    fields = {field.name for field in Run._meta.concrete_fields}  # noqa: SLF001 Django's documented name
    update_rows(fresh, fields - {"id", "state", "created_at"})


def skip_waiting_link(job: Job, reason: SkipReason, *, now: datetime) -> None:
    """End the job's waiting link, if it has one, without a run; the job falls due no more."""
    waiting = list(Run.objects.waiting_links().filter(job=job).values_list("id", flat=True))
    if skip(waiting, reason, now=now):
        _date_back(Run.objects.filter(id__in=waiting), job.pk, now)
        Job.objects.filter(pk=job.pk).update(next_due_at=None)


def withdraw_links(closed: Iterable[ScheduleEpoch], *, now: datetime) -> None:
    """Cancel the links that still wait in epochs that were just closed, those of chains.

    No tick stays beyond an epoch's end, nor one that an operator had cancelled before its time.
    """
    for epoch in closed:
        if epoch.kind == Chain.kind and epoch.to_at is not None:
            waiting = Run.objects.waiting_links().filter(epoch=epoch)
            ids = list(waiting.values_list("id", flat=True))
            cancel(ids, reason=SCHEDULE_CHANGED, now=now)
            _date_back(Run.objects.filter(job_id=epoch.job_id), epoch.job_id, epoch.to_at)


def _date_back(runs: RunQuerySet, job_id: int, to: datetime) -> None:
    """Give runs with later ticks the last free instants up to then, in their order."""
    beyond = runs.filter(scheduled_for__gt=to).order_by("-scheduled_for")
    for run_id in list(beyond.values_list("id", flat=True)):
        while Run.objects.filter(job_id=job_id, scheduled_for=to).exists():
            to -= INSTANT
        Run.objects.filter(id=run_id).update(scheduled_for=to)
