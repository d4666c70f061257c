"""Makes runs: snapshots of a job as it is now, so that a later edit does not change them."""

from datetime import datetime, timedelta

from scheduling.models import Job, Run, ScheduleEpoch
from scheduling.recurrence import Recurrence
from scheduling.states import RunState, Trigger

EXPIRY_SHARE = 0.8  # SPEC A9
SHORTEST_EXPIRY = timedelta(seconds=1)


def new_run(job: Job, *, trigger: Trigger, now: datetime) -> Run:
    """Return an unsaved ready run: a snapshot of the job as it is now."""
    return Run(
        scope=job.scope,
        job=job,
        office_id=job.office_id,
        trigger=trigger,
        task=job.task,
        args=job.args,
        params=job.params,
        queue=job.queue,
        routing=job.routing,
        reporting=job.reporting if job.is_foreign else "",
        priority=job.priority,
        timeout=job.timeout,
        max_retries=job.max_retries,
        retry_base=job.retry_base,
        retry_cap=job.retry_cap,
        retry_backoff=job.retry_backoff,
        retry_jitter=job.retry_jitter,
        non_retryable_codes=job.non_retryable_codes,
        state=RunState.READY,
        created_at=now,
        ready_at=now,
    )


def planned_run(
    job: Job, epoch: ScheduleEpoch, recurrence: Recurrence, tick: datetime, now: datetime
) -> Run:
    """Return an unsaved run of a tick of the epoch, which expires if it cannot start in time."""
    run = new_run(job, trigger=Trigger.SCHEDULER, now=now)
    run.epoch, run.scheduled_for = epoch, tick
    waits_until = _waits_until(job, recurrence, tick, now)
    run.expires_at = min(filter(None, (waits_until, epoch.ends_at)), default=None)
    return run


def _waits_until(
    job: Job, recurrence: Recurrence, tick: datetime, now: datetime
) -> datetime | None:
    """How long a run may wait for its start; catch-up runs of `all` by the job's own rule."""
    if job.expires_after is not None:
        return now + job.expires_after
    following = None if job.one_off else recurrence.next_after(tick)
    if following is None or (job.misfire == "all" and now - tick >= job.misfire_grace):
        return None
    return now + max(SHORTEST_EXPIRY, EXPIRY_SHARE * (following - tick))
