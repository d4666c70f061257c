"""Changes a job: what it runs, when, and by which policy. Runs keep what they were made with.

The job's row and its periodic task are written in one transaction (DESIGN, Model).
"""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from scheduling.actions.audit import Operator, record
from scheduling.actions.queue_names import queue_in_scope, require_own_kind
from scheduling.actions.validation import check_fields
from scheduling.clock import database_now
from scheduling.engine.adoption.edits import settle
from scheduling.engine.chains.links import refresh_links
from scheduling.engine.chains.modes import begin_anew
from scheduling.engine.coming_back import is_aside, plan_again
from scheduling.engine.schedules import Schedule, row_fields
from scheduling.models import Job, Office
from scheduling.recurrence import Clocked

REPLANNING = ("reschedule_mode", "next_delay", "enabled")
UNCHANGED = object()
# By the name of the job's field: the periodic task's, and how it is written there.
IN_ROW: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "task": ("task", str),
    "params": ("kwargs", json.dumps),
    "queue": ("queue", str),
    "enabled": ("enabled", bool),
    "description": ("description", str),
    "expires_after": ("expire_seconds", lambda after: after and int(after.total_seconds())),
}


@transaction.atomic
def change_job(
    job: Job,
    operator: Operator,
    changes: Mapping[str, Any],
    *,
    schedule: Schedule | object | None = UNCHANGED,
    check: Callable[[Job], None] = lambda _: None,
) -> Job:
    """Set fields, and the schedule or None for none; raise InvalidJob, and change nothing then.

    `check` sees the locked job before, and may raise.
    """
    job = Job.objects.select_for_update().get(pk=job.pk)
    check(job)
    if "queue" in changes:
        queue = queue_in_scope(changes["queue"], job.scope)
        changes = {**changes, "queue": job.queue if queue == job.queue else queue}
    differing = {name: value for name, value in changes.items() if getattr(job, name) != value}
    if differing or schedule is not UNCHANGED:
        apply_changes(job, operator, "change_job", differing, schedule=schedule)
    return job


def apply_changes(
    job: Job,
    operator: Operator,
    action: str,
    changes: Mapping[str, Any],
    *,
    schedule: Schedule | object | None = UNCHANGED,
) -> None:
    """Write changes of a locked job, those that plan it anew after what is due is settled.

    Of one that was set aside, first what may have done that, so that what fell due since is settled
    before the rest.
    """
    mending = {name: value for name, value in changes.items() if name not in REPLANNING}
    if is_aside(job) and mending and (mending != changes or schedule is not UNCHANGED):
        _apply(job, operator, action, mending, UNCHANGED)
        changes = {name: value for name, value in changes.items() if name in REPLANNING}
    _apply(job, operator, action, changes, schedule)


def _apply(
    job: Job,
    operator: Operator,
    action: str,
    changes: Mapping[str, Any],
    schedule: Schedule | object | None,
) -> None:
    now = database_now()
    replanned = schedule is not UNCHANGED or any(name in changes for name in REPLANNING)
    if replanned:
        settle(job, now=now)
    before = {name: plain(getattr(job, name)) for name in changes}
    for name, value in changes.items():
        setattr(job, name, value)
    check_fields(job)
    if {"task", "queue"} & set(changes):
        require_own_kind(job)
    if schedule is not UNCHANGED:
        _change_schedule(job, schedule)  # type: ignore[arg-type] # it is none or one by now
    job.save(update_fields=[*changes, "schedule", "one_off"])
    _write_to_row(job, changes)
    if replanned:
        begin_anew(job, at=now)
    else:
        refresh_links([job], now=now)
    plan_again(job)
    after = {name: plain(getattr(job, name)) for name in changes}
    if schedule is not UNCHANGED:
        after["schedule"] = (
            schedule.recurrence.in_words() if isinstance(schedule, Schedule) else None
        )
    record(operator, action, job, before=before, after=after)


def new_row(job: Job, schedule: Schedule) -> PeriodicTask:
    """Make the row that django-celery-beat's own admin shows and edits."""
    fields = {name: write(getattr(job, own)) for own, (name, write) in IN_ROW.items()}
    return PeriodicTask.objects.create(
        name=str(job), one_off=job.one_off, **fields, **_when(schedule)
    )


def plain(value: Any) -> Any:
    """Return a value as the audit trail has it."""
    if isinstance(value, Office):
        return value.office_id
    return value.total_seconds() if isinstance(value, timedelta) else value


def _change_schedule(job: Job, schedule: Schedule | None) -> None:
    """Give the job's row another schedule, make it a row, or take that away."""
    job.one_off = schedule is not None and isinstance(schedule.recurrence, Clocked)
    if schedule is None:
        row, job.schedule = job.schedule, None
        if row is not None:
            row.delete()  # type: ignore[no-untyped-call] # it has no types
    elif job.schedule is None:
        job.schedule = new_row(job, schedule)
    else:
        for name, value in _when(schedule).items():
            setattr(job.schedule, name, value)
        job.schedule.one_off = job.one_off
        job.schedule.save()  # type: ignore[no-untyped-call] # it has no types


def _when(schedule: Schedule) -> dict[str, Any]:
    rows = row_fields(schedule.recurrence)
    return {**rows, "start_time": schedule.starts_at, "expires": schedule.ends_at}


def _write_to_row(job: Job, changes: Mapping[str, Any]) -> None:
    """Write what django-celery-beat's row also says, or it would pass for somebody's edit."""
    written = {
        IN_ROW[name][0]: IN_ROW[name][1](changes[name]) for name in changes if name in IN_ROW
    }
    if job.schedule is None or not written:
        return
    for name, value in written.items():
        setattr(job.schedule, name, value)
    # Only these: somebody may be editing the rest in the stock admin.
    job.schedule.save(update_fields=[*written, "date_changed"])  # type: ignore[no-untyped-call]
