"""Opens and closes the stretches in which a job has one recurrence (DESIGN rule 11).

The caller holds the lock of the job row and has settled what was due before.
"""

from datetime import datetime

from scheduling.engine.schedules import Schedule
from scheduling.models import Job, ScheduleEpoch
from scheduling.recurrence import Recurrence


def open_epoch(job: Job, schedule: Schedule, *, at: datetime) -> ScheduleEpoch:
    """Start planning from `at` (exclusive) and set the next due time; saves the job."""
    begin = max(at, schedule.starts_at) if schedule.starts_at else at
    epoch = ScheduleEpoch.objects.create(
        job=job,
        kind=schedule.recurrence.kind,
        spec=schedule.recurrence.spec(),
        from_at=begin,
        ends_at=schedule.ends_at,
    )
    job.planned_until = begin
    job.next_due_at = next_due(epoch, schedule.recurrence, after=begin)
    job.schedule_error = ""
    job.save(update_fields=["planned_until", "next_due_at", "schedule_error"])
    return epoch


def close_epoch(job: Job, epoch: ScheduleEpoch, *, at: datetime) -> None:
    """Stop planning: no tick of this epoch lies after `at`; saves the job."""
    epoch.to_at = max(at, epoch.from_at)
    epoch.save(update_fields=["to_at"])
    job.next_due_at = None
    job.save(update_fields=["next_due_at"])


def next_due(epoch: ScheduleEpoch, recurrence: Recurrence, *, after: datetime) -> datetime | None:
    """Return the next tick within the epoch's bounds, or None when it will not fire again."""
    tick = recurrence.next_after(after)
    if tick is None or (epoch.ends_at is not None and tick > epoch.ends_at):
        return None
    return tick
