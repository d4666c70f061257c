"""Writes many jobs as a platform has them: schedule row, job, status and open epoch."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from benchmarks.apps import NOOP, OUR_QUEUE
from scheduling.models import Job, JobStatus, ScheduleEpoch
from scheduling.recurrence import Crontab, Interval, Recurrence

CHUNK = 2_000
HOUR = timedelta(hours=1)
MINUTES_A_DAY = 1_440


def run(jobs: int, due_at: float | None = None) -> None:
    """Write hourly jobs that are all due at an instant, or without one, monthly ones not yet due.

    The monthly ones are spread over the minutes of the day after tomorrow.
    """
    start = datetime.now(UTC)
    due = None if due_at is None else datetime.fromtimestamp(due_at, UTC)
    schedules = _monthly(start) if due is None else _hourly(due)
    for first in range(0, jobs, CHUNK):
        names = [f"bench-{number}" for number in range(first, min(first + CHUNK, jobs))]
        with transaction.atomic():
            _write(names, schedules, start)


def _hourly(due_at: datetime) -> Iterator[tuple[Recurrence, dict[str, object], datetime]]:
    interval = IntervalSchedule.objects.create(every=3600, period=IntervalSchedule.SECONDS)
    last_run_at = due_at - HOUR
    while True:
        yield Interval(last_run_at, HOUR), {"interval": interval}, last_run_at


def _monthly(start: datetime) -> Iterator[tuple[Recurrence, dict[str, object], datetime]]:
    day = str((start + timedelta(days=2)).day)
    crontabs = [
        Crontab(str(minute % 60), str(minute // 60), "*", day, "*", "UTC")
        for minute in range(MINUTES_A_DAY)
    ]
    rows = CrontabSchedule.objects.bulk_create(
        CrontabSchedule(
            minute=crontab.minute, hour=crontab.hour, day_of_month=day, timezone=crontab.zone
        )
        for crontab in crontabs
    )
    while True:
        for crontab, row in zip(crontabs, rows, strict=True):
            yield crontab, {"crontab": row}, start


def _write(
    names: list[str],
    schedules: Iterator[tuple[Recurrence, dict[str, object], datetime]],
    start: datetime,
) -> None:
    chosen = [next(schedules) for _ in names]
    rows = PeriodicTask.objects.bulk_create(
        PeriodicTask(
            name=f"real:{name}",
            task=NOOP,
            queue=OUR_QUEUE,
            last_run_at=last_run_at,
            date_changed=start,
            **schedule,
        )
        for name, (_, schedule, last_run_at) in zip(names, chosen, strict=True)
    )
    jobs = Job.objects.bulk_create(
        Job(
            scope="real",
            job_id=name,
            schedule=row,
            task=NOOP,
            queue=OUR_QUEUE,
            planned_until=start,
            next_due_at=recurrence.next_after(start),
        )
        for name, row, (recurrence, _, _) in zip(names, rows, chosen, strict=True)
    )
    JobStatus.objects.bulk_create(JobStatus(job=job) for job in jobs)
    ScheduleEpoch.objects.bulk_create(
        ScheduleEpoch(job=job, kind=recurrence.kind, spec=recurrence.spec(), from_at=start)
        for job, (recurrence, _, _) in zip(jobs, chosen, strict=True)
    )
