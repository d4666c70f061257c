"""By what a job is planned: the schedule of its row, or in queue mode a chain made of it (SPEC A8).

A crontab is waited for, an interval is the delay; a job with only `next_delay` needs no row.
"""

from datetime import datetime, timedelta

from scheduling.engine.schedules import Schedule, schedule_of
from scheduling.errors import InvalidJob
from scheduling.models import Job
from scheduling.recurrence import Chain, Crontab, Interval


def present_schedule(job: Job, *, at: datetime) -> Schedule | None:
    """Return the schedule by which a job is planned from `at` on; None if it has none.

    Raises InvalidJob where mode, delay and row contradict each other.
    """
    schedule = schedule_of(job.schedule, anchor=at) if job.schedule else None
    return as_planned(job, schedule, one_off=job.one_off)


def as_planned(job: Job, schedule: Schedule | None, *, one_off: bool) -> Schedule | None:
    """Return the schedule, in queue mode as the chain that it stands for."""
    if not job.is_chained:
        _refuse_delay(job)
        return schedule
    if one_off:
        raise InvalidJob("one_off", "a job in queue mode follows its own runs: choose one of both")
    if schedule is None:
        return Schedule(recurrence=_chain(job, cron=None, every=None))
    recurrence = schedule.recurrence
    if not isinstance(recurrence, Crontab | Interval):
        raise InvalidJob("schedule", "queue mode takes a crontab or an interval: choose one")
    chain = _chain(
        job,
        cron=recurrence if isinstance(recurrence, Crontab) else None,
        every=recurrence.every if isinstance(recurrence, Interval) else None,
    )
    return Schedule(recurrence=chain, starts_at=schedule.starts_at, ends_at=schedule.ends_at)


def _refuse_delay(job: Job) -> None:
    if job.next_delay is not None:
        raise InvalidJob("next_delay", "counts in queue mode only: set reschedule_mode to 'queue'")


def _chain(job: Job, *, cron: Crontab | None, every: timedelta | None) -> Chain:
    if every is not None and job.next_delay not in {None, every}:
        raise InvalidJob(
            "next_delay", f"{job.next_delay} is not the schedule's {every}: leave one of them out"
        )
    delay = job.next_delay or every
    if cron is None and delay is None:
        raise InvalidJob("next_delay", "queue mode needs a delay, a crontab or both: give one")
    return Chain(delay, cron)
