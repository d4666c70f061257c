"""Creates a job with its schedule row and its first epoch."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from scheduling.actions.audit import Operator, record
from scheduling.actions.queue_names import queue_in_scope
from scheduling.actions.validation import check_fields
from scheduling.clock import database_now
from scheduling.engine.chains.chain import plan_links
from scheduling.engine.chains.chain_schedule import as_planned
from scheduling.engine.epochs import open_epoch, require_a_tick
from scheduling.engine.schedules import Schedule, row_fields
from scheduling.errors import DuplicateJob
from scheduling.models import Job, JobStatus
from scheduling.models.job import RescheduleMode
from scheduling.recurrence import Clocked


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What a new job needs; a field left out takes the model's default."""

    scope: str
    job_id: str
    task: str
    schedule: Schedule | None = None
    params: dict[str, Any] = field(default_factory=dict)
    queue: str = ""
    description: str = ""
    enabled: bool = True
    reschedule_mode: str = RescheduleMode.SCHEDULER
    next_delay: timedelta | None = None
    retry_base: timedelta | None = None
    max_consecutive_errors: int = 3

    def queue_name(self) -> str:
        """Return the queue with its scope, by default the job's own; refuse another scope's."""
        if not self.queue:
            return f"{self.scope}.jobs.{self.job_id}"
        return queue_in_scope(self.queue, self.scope)


@transaction.atomic
def create_job(new: NewJob, operator: Operator) -> Job:
    """Create a job; raise DuplicateJob or InvalidJob, and keep nothing then."""
    if Job.objects.filter(scope=new.scope, job_id=new.job_id).exists():
        raise DuplicateJob(new.scope, new.job_id)
    job = Job(
        scope=new.scope,
        job_id=new.job_id,
        task=new.task,
        params=new.params,
        queue=new.queue_name(),
        description=new.description,
        enabled=new.enabled,
        reschedule_mode=new.reschedule_mode,
        next_delay=new.next_delay,
        retry_base=new.retry_base,
        max_consecutive_errors=new.max_consecutive_errors,
    )
    check_fields(job)
    now = database_now()
    planned = as_planned(job, new.schedule, one_off=False)
    if planned is not None:
        require_a_tick(job, planned, at=now)
    if new.schedule is not None:
        job.one_off = isinstance(new.schedule.recurrence, Clocked)
        job.schedule = _periodic_task(job, new.schedule)
    job.save()
    JobStatus.objects.create(job=job)
    if planned is not None and job.enabled:
        open_epoch(job, planned, at=now)
        plan_links([job] if job.is_chained else [], now=now)
    record(operator, "create_job", job, after={"task": job.task, "queue": job.queue})
    return job


def _periodic_task(job: Job, schedule: Schedule) -> PeriodicTask:
    """The row that django-celery-beat's own admin shows and edits."""
    return PeriodicTask.objects.create(
        name=str(job),
        task=job.task,
        kwargs=json.dumps(job.params),
        queue=job.queue,
        description=job.description,
        enabled=job.enabled,
        one_off=job.one_off,
        start_time=schedule.starts_at,
        expires=schedule.ends_at,
        **row_fields(schedule.recurrence),
    )
