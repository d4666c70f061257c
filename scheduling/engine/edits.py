"""Copies down: an edit of a job's periodic task, made anywhere, becomes the job's (SPEC A7).

What was due under the old schedule is settled first; the old epoch closes and a new one opens in
the same transaction.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django_celery_beat.models import PeriodicTask

from scheduling.engine.epochs import close_epoch, next_due, open_epoch
from scheduling.engine.plan import judge_all, write
from scheduling.engine.schedules import Schedule, json_value, same_rule, schedule_of
from scheduling.models import Job, ScheduleEpoch
from scheduling.recurrence import RecurrenceError

logger = logging.getLogger(__name__)

COPIED = (
    *("task", "args", "params", "queue", "enabled", "one_off", "description"),
    "expires_after",
)


def copy_down(row: PeriodicTask, job: Job, *, now: datetime) -> bool:
    """Make the job equal to its edited row; return whether anything differed.

    Looks without a lock first, and again with it: the beat itself writes both, for a one-off job.
    """
    if _edit_of(row, job, now) is None:
        return False
    with transaction.atomic():
        job = Job.objects.select_for_update().get(id=job.id)
        fresh = PeriodicTask.objects.select_related("interval", "crontab").filter(pk=row.pk).first()
        edit = _edit_of(fresh, job, now) if fresh is not None else None
        if edit is None:
            return False
        _apply(edit, job, now)
    logger.info("schedule_edited", extra={"job_id": job.job_id, "scope": job.scope})
    return True


def settle(job: Job, *, now: datetime) -> None:
    """Give what fell due under the present schedule its run or verdict; the job is locked."""
    if job.next_due_at is not None and job.next_due_at <= now:
        write(judge_all([job], now=now))


@dataclass(frozen=True)
class _Edit:
    """What differs: fields by name, and the schedule if that is another."""

    fields: dict[str, Any]
    schedule: Schedule | None


def _edit_of(row: PeriodicTask, job: Job, now: datetime) -> _Edit | None:
    """Compare a row with its job; None if they are in step and nothing is set aside."""
    epoch = _open_epoch(job)
    fields = _differences(row, job)
    schedule = _schedule_if_changed(row, epoch, now)
    in_step = (epoch is None) != row.enabled
    if not fields and schedule is None and in_step and not job.schedule_error:
        return None
    return _Edit(fields, schedule)


def _apply(edit: _Edit, job: Job, now: datetime) -> None:
    if job.schedule_error:
        _bring_back(job, _open_epoch(job))
    settle(job, now=now)
    for name, value in edit.fields.items():
        setattr(job, name, value)
    job.save(update_fields=[*edit.fields, "schedule_error", "next_due_at"])
    _switch_epoch(job, _open_epoch(job), edit.schedule, now)


def _open_epoch(job: Job) -> ScheduleEpoch | None:
    return ScheduleEpoch.objects.filter(job=job, to_at=None).first()


def _differences(row: PeriodicTask, job: Job) -> dict[str, Any]:
    wanted = job_fields(row)
    if not row.queue:
        wanted["queue"] = job.queue
    return {name: wanted[name] for name in COPIED if wanted[name] != getattr(job, name)}


def _schedule_if_changed(
    row: PeriodicTask, epoch: ScheduleEpoch | None, now: datetime
) -> Schedule | None:
    """Return the row's schedule if it should hold and the open epoch says something else."""
    if not row.enabled:
        return None
    fresh = schedule_of(row, anchor=now)
    if epoch is None:
        return fresh
    unchanged = (
        _holds(epoch, fresh)
        and epoch.ends_at == fresh.ends_at
        and (row.start_time is None or row.start_time <= epoch.from_at)
    )
    return None if unchanged else fresh


def _holds(epoch: ScheduleEpoch, fresh: Schedule) -> bool:
    try:
        return same_rule(epoch.recurrence(), fresh.recurrence)
    except RecurrenceError:
        return False  # a row that was corrupted: start anew, the ledger shows the damage


def _switch_epoch(
    job: Job, epoch: ScheduleEpoch | None, schedule: Schedule | None, now: datetime
) -> None:
    if epoch is not None and (schedule is not None or not job.enabled):
        close_epoch(job, epoch, at=now)
        epoch = None
    if schedule is not None:
        open_epoch(job, schedule, at=now)


def _bring_back(job: Job, epoch: ScheduleEpoch | None) -> None:
    """Let a job that was set aside be planned again from where its account ends."""
    job.schedule_error = ""
    if epoch is not None and job.next_due_at is None:
        with suppress(RecurrenceError):
            after = job.planned_until or epoch.from_at
            job.next_due_at = next_due(epoch, epoch.recurrence(), after=after)


def job_fields(row: PeriodicTask) -> dict[str, Any]:
    """Read what a row says of its job; raise InvalidJob for JSON that is none."""
    return {
        "task": row.task,
        "args": json_value(row.args, "args", list),
        "params": json_value(row.kwargs, "kwargs", dict),
        "queue": row.queue or settings.CELERY_TASK_DEFAULT_QUEUE,
        "enabled": row.enabled,
        "one_off": row.one_off,
        "expires_after": timedelta(seconds=row.expire_seconds) if row.expire_seconds else None,
        "description": row.description,
    }
