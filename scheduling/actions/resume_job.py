"""Resumes a paused job; the ticks that the pause swallowed stay skipped."""

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.clock import database_now
from scheduling.engine.chains.chain import resume_chain
from scheduling.engine.pauses import end_active_pause
from scheduling.models import Job


@transaction.atomic
def resume_job(job: Job, operator: Operator) -> None:
    """End the job's pause; a job that is not paused stays as it is."""
    job = Job.objects.select_for_update().get(id=job.id)
    now = database_now()
    pause = end_active_pause(job, ended_by=operator.actor, now=now)
    if pause is not None:
        resume_chain(job, now=now)
        record(operator, "resume_job", job, before={"paused_by": pause.paused_by})
