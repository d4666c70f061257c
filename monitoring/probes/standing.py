"""What probes ask the ledger about a standing job."""

from datetime import datetime

from django.conf import settings

from scheduling.models import Job, Pause


def active_since(job_id: str) -> datetime | None:
    """Return since when the job is expected to run; None if it is not (absent, off or paused)."""
    job = Job.objects.filter(
        scope=settings.SCHEDULER_SCOPE, job_id=job_id, deleted_at=None, enabled=True
    ).first()
    if job is None or Pause.objects.filter(job=job, ended_at=None).exists():
        return None
    resumed_at = (
        Pause.objects.filter(job=job).order_by("-ended_at").values_list("ended_at", flat=True)
    ).first()
    return max(job.created_at, resumed_at) if resumed_at else job.created_at
