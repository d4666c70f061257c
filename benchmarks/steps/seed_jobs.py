"""Writes many jobs as the platform has them: schedule row, job, status and open epoch."""

from datetime import UTC, datetime

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from benchmarks.apps import OUR_QUEUE
from benchmarks.steps import seed_schedules
from scheduling.engine.epochs import new_epoch
from scheduling.engine.schedules import schedule_of
from scheduling.models import Job, JobStatus, ScheduleEpoch


def run(jobs: int, due_at: float | None = None) -> None:
    """Write the rows of `seed_schedules`, and their jobs."""
    seed_schedules.run(jobs, OUR_QUEUE, due_at)
    rows = PeriodicTask.objects.select_related("interval", "crontab").order_by("id")
    start = datetime.now(UTC)
    last = 0
    while chunk := list(rows.filter(id__gt=last)[: seed_schedules.CHUNK]):
        last = chunk[-1].pk
        with transaction.atomic():
            _write(chunk, start)


def _write(rows: list[PeriodicTask], start: datetime) -> None:
    jobs = [_job(row) for row in rows]
    epochs = [_epoch(job, row, start) for job, row in zip(jobs, rows, strict=True)]
    Job.objects.bulk_create(jobs)
    JobStatus.objects.bulk_create(JobStatus(job=job) for job in jobs)
    for job, epoch in zip(jobs, epochs, strict=True):
        epoch.job = job
    ScheduleEpoch.objects.bulk_create(epochs)


def _job(row: PeriodicTask) -> Job:
    job_id = row.name.removeprefix("real:")
    return Job(scope="real", job_id=job_id, schedule=row, task=row.task, queue=OUR_QUEUE)


def _epoch(job: Job, row: PeriodicTask, start: datetime) -> ScheduleEpoch:
    return new_epoch(
        job, schedule_of(row, anchor=row.last_run_at or start), at=start, earliest=start
    )
