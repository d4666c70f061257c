"""Makes jobs of the periodic tasks that somebody else wrote (SPEC A7), a batch at a time.

One beat at a time: others wait for the batch to commit, and find its rows taken. A row that cannot
become a job as it is becomes one that is set aside with the reason, so that it is seen somewhere.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django_celery_beat.models import PeriodicTask

from scheduling.engine.adoption.job_fields import job_fields, readable_fields
from scheduling.engine.adoption.job_ids import wanted_id, with_free_ids
from scheduling.engine.adoption.periodic_tasks import reason_of
from scheduling.engine.adoption.routes import CELERYS_DEFAULT, Routes
from scheduling.engine.epochs import new_epoch
from scheduling.engine.schedules import schedule_of
from scheduling.models import Job, JobStatus, ScheduleEpoch
from scheduling.outage import is_outage

logger = logging.getLogger(__name__)

LOCK_KEY = 0x0B5E0002  # any constant: one adopter at a time


def adopt(rows: Sequence[PeriodicTask], routes: Routes, *, scope: str, now: datetime) -> list[int]:
    """Give each row that has none a job in the scope.

    A row by the name of an adopted job that lost its own gets that job: some deployments delete
    and make again. Returns the primary keys of those rows, whose jobs are not in step yet.
    """
    with transaction.atomic():
        _wait_for_other_adopters()
        free = _without_job(rows)
        returned = _give_back(free, scope)
        new = with_free_ids([row for row in free if row.pk not in returned], scope)
        made = [_job_of(_bare_job(row, job_id, scope), row, routes, now) for row, job_id in new]
        _write(made)
    _log(made)
    return returned


def adopt_aside(rows: Sequence[PeriodicTask], *, scope: str, reason: str) -> None:
    """Make jobs of rows that the database refused, with no more than name, task and reason."""
    with transaction.atomic():
        _wait_for_other_adopters()
        new = with_free_ids(_without_job(rows), scope)
        made = [_New(_aside(_bare_job(row, job_id, scope), reason)) for row, job_id in new]
        _write(made)
    _log(made)


def _wait_for_other_adopters() -> None:
    """Take the lock for this transaction; SQLite's write lock is one already."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])


def _without_job(rows: Sequence[PeriodicTask]) -> list[PeriodicTask]:
    pks = [row.pk for row in rows]
    taken = set(Job.objects.filter(schedule_id__in=pks).values_list("schedule_id", flat=True))
    return [row for row in rows if row.pk not in taken]


def _give_back(rows: Sequence[PeriodicTask], scope: str) -> list[int]:
    """Give rows to the adopted jobs of their names that have none."""
    named = {wanted_id(row): row.pk for row in rows}
    lost = Job.objects.in_scope(scope).filter(job_id__in=named, schedule=None, adopted=True)
    returned = []
    for job in lost.select_for_update().order_by("id"):
        Job.objects.filter(pk=job.pk).update(schedule_id=named[job.job_id])
        returned.append(named[job.job_id])
    return returned


@dataclass(frozen=True)
class _New:
    """A job to be inserted, with its epoch if it has one."""

    job: Job
    epoch: ScheduleEpoch | None = None
    spent: bool = False


def _job_of(job: Job, row: PeriodicTask, routes: Routes, now: datetime) -> _New:
    try:
        for name, value in job_fields(row, routes, adopted=True).items():
            setattr(job, name, value)
        # Stock beat was killed between its run and its disabling.
        spent = row.enabled and row.one_off and row.total_run_count > 0
        job.enabled = row.enabled and not spent
        return _New(job, _first_epoch(job, row, now) if job.enabled else None, spent)
    except Exception as error:
        if is_outage(error):
            raise
        logger.warning("schedule_set_aside", extra={"job_id": job.job_id, "error": str(error)})
        for name, value in readable_fields(row, routes).items():
            setattr(job, name, value)
        return _New(_aside(job, reason_of(error)))


def _bare_job(row: PeriodicTask, job_id: str, scope: str) -> Job:
    """Its timeout is the task's own: the platform's default would end work that is allowed."""
    return Job(
        scope=scope,
        job_id=job_id,
        schedule=row,
        task=row.task,
        enabled=row.enabled,
        queue=CELERYS_DEFAULT,
        adopted=True,
        timeout=None,
    )


def _aside(job: Job, reason: str) -> Job:
    job.schedule_error, job.next_due_at = reason, None
    return job


def _first_epoch(job: Job, row: PeriodicTask, now: datetime) -> ScheduleEpoch:
    """The first tick is the first still in grace; a clocked one that never came is caught up."""
    last = row.last_run_at or row.date_changed
    schedule = schedule_of(row, anchor=min(last, now))
    earliest = now - job.catch_up_window
    return new_epoch(
        job,
        schedule,
        at=min(now, max(last, now - job.misfire_grace)),
        earliest=max(earliest, row.last_run_at) if row.last_run_at else earliest,
    )


def _write(made: Sequence[_New]) -> None:
    jobs = [new.job for new in made]
    Job.objects.bulk_create(jobs)
    JobStatus.objects.bulk_create([JobStatus(job=job) for job in jobs])
    ScheduleEpoch.objects.bulk_create([new.epoch for new in made if new.epoch is not None])
    spent = [new.job.schedule_id or 0 for new in made if new.spent]
    if spent:
        PeriodicTask.objects.filter(pk__in=spent).update(enabled=False, total_run_count=0)


def _log(made: Sequence[_New]) -> None:
    for new in made:
        logger.info("schedule_adopted", extra={"job_id": new.job.job_id, "scope": new.job.scope})
