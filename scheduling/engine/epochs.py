"""Opens and closes the stretches in which a job has one recurrence (DESIGN rule 11).

The caller holds the lock of the job row and has settled what was due before.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from scheduling.engine.chains.links import withdraw_links
from scheduling.engine.schedules import Schedule
from scheduling.errors import InvalidJob
from scheduling.models import Job, ScheduleEpoch
from scheduling.recurrence import Recurrence, RecurrenceError

PLANNING = ("planned_until", "next_due_at", "schedule_error")  # what opening an epoch sets


def open_epoch(job: Job, schedule: Schedule, *, at: datetime) -> ScheduleEpoch:
    """Start planning from `at` (exclusive) and set the next due time; saves the job."""
    epoch = new_epoch(job, schedule, at=at, earliest=at)
    epoch.save()
    job.save(update_fields=PLANNING)
    return epoch


def new_epoch(job: Job, schedule: Schedule, *, at: datetime, earliest: datetime) -> ScheduleEpoch:
    """Return an unsaved epoch, and set the job to plan by it, unsaved too.

    It begins at `at`, or by the schedule's own bounds; not before `earliest`, and not before what
    has its verdicts: `at` lies behind that when the clock was set back.
    """
    at = max(at, _settled_until(job, at))
    epoch = _epoch(job, schedule, after=schedule.begins_after(at, earliest=earliest))
    job.planned_until = epoch.from_at
    job.next_due_at = next_due(epoch, schedule.recurrence, after=epoch.from_at)
    job.schedule_error = "" if job.next_due_at else never_fires(epoch)
    return epoch


def require_a_tick(job: Job, schedule: Schedule, *, at: datetime) -> None:
    """Raise InvalidJob if a schedule that is to hold from `at` on would never fire."""
    epoch = _epoch(job, schedule, after=schedule.begins_after(at, earliest=at))
    if problem := never_fires(epoch):
        raise InvalidJob("schedule", problem)


def _epoch(job: Job, schedule: Schedule, *, after: datetime) -> ScheduleEpoch:
    return ScheduleEpoch(
        job=job,
        kind=schedule.recurrence.kind,
        spec=schedule.recurrence.spec(),
        from_at=after,
        ends_at=schedule.ends_at,
    )


def close_epoch(job: Job, epoch: ScheduleEpoch, *, at: datetime) -> None:
    """Stop planning: no tick of this epoch lies after `at`; saves the job."""
    epoch.to_at = end_of(epoch, job, at=at)
    epoch.save(update_fields=["to_at"])
    job.next_due_at = None
    job.save(update_fields=["next_due_at"])
    withdraw_links([epoch], now=at)


def end_of(epoch: ScheduleEpoch, job: Job, *, at: datetime) -> datetime:
    """Return where an open epoch ends if it is closed now: not before what has its verdicts."""
    return max(at, epoch.from_at, job.planned_until or at)


def _settled_until(job: Job, at: datetime) -> datetime:
    """Return up to where the job's ticks have their verdicts, `at` if that is not later.

    Planned further than `at` is a job whose start is still to come, or the clock was set back.
    """
    if job.planned_until is None or job.planned_until <= at:
        return at
    epochs = ScheduleEpoch.objects.filter(Q(to_at=None) | Q(to_at__gt=at), job=job)
    ends = [(epoch.from_at, epoch.to_at or job.planned_until) for epoch in epochs]
    return max([at, *(until for begin, until in ends if begin < until)])


def open_epochs(jobs: Sequence[Job]) -> dict[int, ScheduleEpoch]:
    """Return the open epochs of jobs, by the job's primary key."""
    found = ScheduleEpoch.objects.filter(job_id__in=[job.pk for job in jobs], to_at=None)
    return {epoch.job_id: epoch for epoch in found}


def next_due(epoch: ScheduleEpoch, recurrence: Recurrence, *, after: datetime) -> datetime | None:
    """Return the next tick within the epoch's bounds, or None when it will not fire again."""
    tick = recurrence.next_after(after)
    if tick is None or (epoch.ends_at is not None and tick > epoch.ends_at):
        return None
    return tick


def never_fires(epoch: ScheduleEpoch) -> str:
    """Say why an epoch holds no tick at all; an empty text if it holds one, or cannot be read."""
    try:
        recurrence = epoch.recurrence()
    except RecurrenceError:
        return ""
    if next_due(epoch, recurrence, after=epoch.from_at) is not None:
        return ""
    bounds = f" and before {epoch.ends_at:%Y-%m-%d %H:%M:%S}" if epoch.ends_at else ""
    return (
        f"will not fire: {recurrence.in_words()} never comes after"
        f" {epoch.from_at:%Y-%m-%d %H:%M:%S}{bounds}: choose another schedule"
    )
