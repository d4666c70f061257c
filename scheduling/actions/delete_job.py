"""Deletes a job: it is planned no more; its ledger stays, and it may be created again."""

from collections.abc import Callable

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.clock import database_now
from scheduling.engine.adoption.edits import settle
from scheduling.engine.epochs import close_epoch, open_epochs
from scheduling.engine.pauses import end_active_pause
from scheduling.models import Job, Run
from scheduling.states import RunState
from scheduling.transitions import cancel

DELETED = "job_deleted"


@transaction.atomic
def delete_job(
    job: Job, operator: Operator, *, check: Callable[[Job], None] = lambda _: None
) -> None:
    """Take the job out of the schedule; what waits is cancelled, what runs finishes.

    What fell due before has its run or verdict. `check` sees the locked job, and may raise.
    """
    now = database_now()
    job = Job.objects.select_for_update().get(pk=job.pk)
    check(job)
    settle(job, now=now)
    epoch = open_epochs([job]).get(job.pk)
    if epoch is not None:
        close_epoch(job, epoch, at=now)
    waiting = Run.objects.open(RunState.PENDING, RunState.READY, RunState.QUEUED).filter(job=job)
    cancelled = cancel(list(waiting.values_list("id", flat=True)), reason=DELETED, now=now)
    end_active_pause(job, ended_by=operator.actor, now=now)
    if job.schedule is not None:
        row, job.schedule = job.schedule, None
        row.delete()  # type: ignore[no-untyped-call] # it has no types
    job.deleted_at, job.enabled = now, False
    job.save(update_fields=["schedule", "deleted_at", "enabled"])
    record(operator, "delete_job", job, after={"cancelled": len(cancelled)})
