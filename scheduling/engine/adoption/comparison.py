"""Compares a periodic task with its job: what has to change for the two to say the same."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_celery_beat.models import PeriodicTask

from scheduling.engine.adoption.job_fields import job_fields
from scheduling.engine.adoption.periodic_tasks import reason_of
from scheduling.engine.adoption.routes import Routes
from scheduling.engine.chains.chain_schedule import as_planned
from scheduling.engine.epochs import never_fires
from scheduling.engine.schedules import Schedule, same_rule, schedule_of
from scheduling.models import Job, ScheduleEpoch
from scheduling.outage import is_outage
from scheduling.recurrence import RecurrenceError
from scheduling.verdicts import INSTANT

# What is read of a job to be compared; the whole row costs twice as much.
COMPARED = (
    *("scope", "job_id", "schedule_id", "adopted", "deleted_at", "schedule_error"),
    *("task", "args", "params", "queue", "routing", "enabled", "one_off", "expires_after"),
    *("description", "reschedule_mode", "next_delay"),
)


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What differs: fields by name, the schedule if that is another, what is wrong with the row."""

    fields: dict[str, Any]
    schedule: Schedule | None = None
    problem: str = ""


def edit_of(
    row: PeriodicTask, job: Job, epoch: ScheduleEpoch | None, routes: Routes, *, now: datetime
) -> Edit | None:
    """Return what the row says otherwise than its job and the job's open epoch; None if nothing.

    A row that says something wrong changes nothing but `schedule_error`, so that the job goes on
    as it was; only that it is disabled is believed at once. A job that was set aside by an error
    of its own gets an empty edit, so that `edits` looks at it under the lock and plans it again.
    """
    try:
        fields = _differences(row, job, routes)
        schedule = _schedule_if_changed(row, job, epoch, now)
    except Exception as error:
        if is_outage(error):
            raise
        stopped = {"enabled": False} if job.enabled and not row.enabled else {}
        problem = reason_of(error)
        known = not stopped and problem == job.schedule_error
        return None if known else Edit(fields=stopped, problem=problem)
    in_step = not fields and schedule is None and (epoch is None) != row.enabled
    known = not job.schedule_error or job.schedule_error == standing_error(epoch)
    return None if in_step and known else Edit(fields=fields, schedule=schedule)


def standing_error(epoch: ScheduleEpoch | None) -> str:
    """Say what is wrong with a schedule that can be read; an empty text if nothing is."""
    return never_fires(epoch) if epoch is not None else ""


def _differences(row: PeriodicTask, job: Job, routes: Routes) -> dict[str, Any]:
    wanted = job_fields(row, routes, adopted=job.adopted)
    if not row.queue and not job.adopted:
        wanted["queue"] = job.queue  # its own, which the row left out
    return {name: value for name, value in wanted.items() if value != getattr(job, name)}


def _schedule_if_changed(
    row: PeriodicTask, job: Job, epoch: ScheduleEpoch | None, now: datetime
) -> Schedule | None:
    """Return the row's schedule if it should hold and the open epoch says something else."""
    if not row.enabled:
        return None
    fresh = as_planned(job, schedule_of(row, anchor=now), one_off=row.one_off)
    if epoch is None or fresh is None:
        return fresh
    unchanged = (
        _holds(epoch, fresh)
        and epoch.ends_at == fresh.ends_at
        and (fresh.starts_at is None or fresh.starts_at - INSTANT <= epoch.from_at)
    )
    return None if unchanged else fresh


def _holds(epoch: ScheduleEpoch, fresh: Schedule) -> bool:
    try:
        return same_rule(epoch.recurrence(), fresh.recurrence)
    except RecurrenceError:
        return False  # a row that was corrupted: start anew, the ledger shows the damage
