"""Closes a job's breaker by hand: its next tick runs, and failures are counted from zero."""

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.engine.coming_back import plan_again
from scheduling.models import Job, JobStatus


@transaction.atomic
def reset_breaker(job: Job, operator: Operator) -> bool:
    """Forget the job's failures in a row; return whether its breaker was open."""
    job = Job.objects.select_for_update().get(pk=job.pk)  # first: its row, then its status
    status = JobStatus.objects.select_for_update().get(job=job)
    if not status.consecutive_errors and status.tripped_at is None:
        return False
    was_open = status.tripped_at is not None
    before = {"consecutive_errors": status.consecutive_errors, "open": was_open}
    status.consecutive_errors, status.tripped_at = 0, None
    status.save(update_fields=["consecutive_errors", "tripped_at"])
    plan_again(job)
    record(operator, "reset_breaker", job, before=before)
    return was_open
