"""Creates a job with its schedule row and its first epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.actions.change_job import new_row
from scheduling.actions.queue_names import queue_in_scope, require_own_kind
from scheduling.actions.validation import check_fields
from scheduling.clock import database_now
from scheduling.engine.chains.chain import plan_links
from scheduling.engine.chains.chain_schedule import as_planned
from scheduling.engine.epochs import open_epoch, require_a_tick
from scheduling.engine.schedules import Schedule
from scheduling.errors import DuplicateJob
from scheduling.models import Job, JobStatus
from scheduling.models.job import RescheduleMode
from scheduling.recurrence import Clocked

FRESH = {
    "last_run_at": None,
    "last_status": "",
    "last_error": "",
    "consecutive_errors": 0,
    "tripped_at": None,
}


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What a new job needs; a field left out takes the model's default.

    `policy`: further fields of the policy, by their names.
    """

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
    policy: Mapping[str, Any] = field(default_factory=dict)

    def queue_name(self) -> str:
        """Return the queue with its scope, by default the job's own; refuse another scope's."""
        if not self.queue:
            return f"{self.scope}.jobs.{self.job_id}"
        return queue_in_scope(self.queue, self.scope)


@transaction.atomic
def create_job(new: NewJob, operator: Operator) -> Job:
    """Create a job; raise DuplicateJob or InvalidJob, and keep nothing then.

    One that was deleted comes back as the new one says, with the ledger of the old.
    """
    former = Job.objects.select_for_update().filter(scope=new.scope, job_id=new.job_id).first()
    if former is not None and former.deleted_at is None:
        raise DuplicateJob(new.scope, new.job_id)
    now = database_now()
    job = Job(
        **_account_of(former, now),
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
    job._state.adding = former is None  # noqa: SLF001 Django's documented name
    for name, value in new.policy.items():
        setattr(job, name, value)
    check_fields(job)
    require_own_kind(job)
    planned = as_planned(job, new.schedule, one_off=False)
    if planned is not None:
        require_a_tick(job, planned, at=now)
    if new.schedule is not None:
        job.one_off = isinstance(new.schedule.recurrence, Clocked)
        job.schedule = new_row(job, new.schedule)
    job.save()
    JobStatus.objects.update_or_create(job=job, defaults=FRESH)
    if planned is not None and job.enabled:
        open_epoch(job, planned, at=now)
        plan_links([job] if job.is_chained else [], now=now)
    record(operator, "create_job", job, after={"task": job.task, "queue": job.queue})
    return job


def _account_of(former: Job | None, now: datetime) -> dict[str, Any]:
    """Return what a job that comes back keeps: its ticks up to now have their verdicts."""
    if former is None:
        return {}
    return {
        "pk": former.pk,
        "created_at": now,
        "planned_until": former.planned_until,
        "pruned_until": former.pruned_until,
    }
