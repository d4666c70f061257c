"""Jobs that were set aside by an error, and how they come back: planned from where they stopped.

A job is set aside where its ticks or links cannot be planned (`plan`, `chains.chain`); it does not
fire then, and says why.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from scheduling.bulk import update_rows
from scheduling.engine.adoption.comparison import standing_error
from scheduling.engine.epochs import PLANNING, next_due, open_epochs
from scheduling.models import Job, ScheduleEpoch
from scheduling.recurrence import RecurrenceError


def is_aside(job: Job) -> bool:
    """Whether an error keeps the job from falling due; with one in its row alone it goes on."""
    return bool(job.schedule_error) and job.next_due_at is None


def plan_again(job: Job) -> None:
    """Let a locked job that was set aside fall due where its account ends, if it can; saves it.

    The error stays where the row is what has to be mended: there is no epoch then. A chain falls
    due no later than its next link would: whoever looks then plans that.
    """
    epoch = open_epochs([job]).get(job.pk)
    due_at = _due_again(job, epoch) if epoch is not None and is_aside(job) else None
    if due_at is not None:
        job.schedule_error, job.next_due_at = "", due_at
        job.save(update_fields=PLANNING)


def bring_back(jobs: Sequence[Job]) -> None:
    """Let locked jobs whose rows are looked at anew forget their errors, and be planned again."""
    aside = [job for job in jobs if job.schedule_error]
    epochs = open_epochs(aside)
    for job in aside:
        epoch = epochs.get(job.pk)
        job.schedule_error = standing_error(epoch)
        if epoch is not None and job.next_due_at is None:
            job.next_due_at = _due_again(job, epoch)
    update_rows(aside, PLANNING)


def _due_again(job: Job, epoch: ScheduleEpoch) -> datetime | None:
    with suppress(RecurrenceError):
        after = job.planned_until or epoch.from_at
        return next_due(epoch, epoch.recurrence(), after=after)
    return None
