"""Resumes a paused job; the ticks that the pause swallowed stay skipped."""

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.clock import database_now
from scheduling.engine.plan import plan_jobs
from scheduling.models import Job, Pause


@transaction.atomic
def resume_job(job: Job, operator: Operator) -> None:
    """End the job's pause; a job that is not paused stays as it is."""
    now = database_now()
    job = Job.objects.select_for_update().get(id=job.id)
    pause = Pause.objects.active().filter(job=job).first()
    if pause is None:
        return
    plan_jobs([job.id], now=now)
    pause.ended_at, pause.ended_by = now, operator.actor
    pause.save(update_fields=["ended_at", "ended_by"])
    record(operator, "resume_job", job, before={"paused_by": pause.paused_by})
