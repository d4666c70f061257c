"""Pauses a job: its ticks are skipped as `paused`; what already runs finishes (SPEC A11)."""

from datetime import datetime

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.clock import database_now
from scheduling.engine.plan import plan_jobs
from scheduling.errors import InvalidJob
from scheduling.models import Job, Pause, Run
from scheduling.states import RunState, SkipReason
from scheduling.transitions import skip


@transaction.atomic
def pause_job(
    job: Job, operator: Operator, *, reason: str = "", until: datetime | None = None
) -> Pause:
    """Pause a job until an instant or until resumed; a job already paused keeps its pause.

    Raises InvalidJob when `until` is not in the future.
    """
    now = database_now()
    if until is not None and until <= now:
        raise InvalidJob("until", f"{until.isoformat()} is not in the future")
    job = Job.objects.select_for_update().get(id=job.id)
    if active := Pause.objects.active().filter(job=job).first():
        return active
    plan_jobs([job.id], now=now)
    pause = Pause.objects.create(
        job=job, paused_by=operator.actor, reason=reason, from_at=now, until_at=until
    )
    _skip_unstarted(job, now)
    record(
        operator, "pause_job", job, after={"reason": reason, "until": until and until.isoformat()}
    )
    return pause


def _skip_unstarted(job: Job, now: datetime) -> None:
    """Planned runs whose first attempt has not started will not run."""
    unstarted = Run.objects.open(RunState.READY, RunState.QUEUED).filter(
        job=job, scheduled_for__isnull=False, started_at=None
    )
    skip(list(unstarted.values_list("id", flat=True)), SkipReason.PAUSED, now=now)
