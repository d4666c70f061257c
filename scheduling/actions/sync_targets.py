"""Creates a job for each entry of OPS_TARGETS without one; then the job decides (SPEC A14)."""

from contextlib import suppress
from datetime import timedelta

from django.db import IntegrityError

from scheduling.actions.audit import Operator
from scheduling.actions.create_job import NewJob, create_job
from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.engine.schedules import Schedule
from scheduling.errors import DuplicateJob
from scheduling.models import Job
from scheduling.recurrence import Interval
from scheduling.targets import TASK_OF_ANY_TARGET, TASKS_OF_STANDING_TARGETS, TargetSetting

BY_SETTING = Operator(actor="OPS_TARGETS", door="settings")


def sync_targets() -> list[Job]:
    """Create the job of each target that has none, deleted ones included; return the new jobs."""
    scope = conf.SCHEDULER_SCOPE
    jobs = Job.objects.filter(scope=scope, job_id__in=list(conf.OPS_TARGETS))
    known = set(jobs.values_list("job_id", flat=True))
    created = []
    for name, target in conf.OPS_TARGETS.items():
        if name not in known:
            # Another beat may have started at the same moment and be the one that creates it.
            with suppress(DuplicateJob, IntegrityError):
                created.append(create_job(_job_of_target(scope, name, target), BY_SETTING))
    return created


def _job_of_target(scope: str, name: str, target: TargetSetting) -> NewJob:
    task = TASKS_OF_STANDING_TARGETS.get(name)
    every = timedelta(milliseconds=target.interval_ms)
    return NewJob(
        scope=scope,
        job_id=name,
        task=task or TASK_OF_ANY_TARGET,
        params={} if task else {"name": name},
        schedule=Schedule(recurrence=Interval(database_now(), every)),
        retry_base=timedelta(milliseconds=target.error_backoff_ms),
        max_consecutive_errors=target.max_consecutive_errors,
    )
