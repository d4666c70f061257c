"""Ends pauses, after settling the ticks that they swallowed (SPEC A11)."""

from datetime import datetime
from functools import partial

from django.db import transaction

from scheduling.engine.aside import set_job_aside
from scheduling.engine.chains.chain import resume_chain
from scheduling.engine.one_by_one import each_alone
from scheduling.engine.plan import plan_jobs
from scheduling.models import Job, Pause

BY_ITSELF = "timer"


def end_pauses(scope: str, *, now: datetime) -> int:
    """Resume every job whose pause has run out; return how many.

    One that cannot be resumed is set aside, and tried again: it stays paused until it is put right.
    """
    jobs = list(Pause.objects.over(now).filter(job__scope=scope).values_list("job_id", flat=True))
    return sum(each_alone(jobs, partial(_resume, now=now), set_aside=set_job_aside))


def _resume(job_id: int, *, now: datetime) -> bool:
    with transaction.atomic():
        job = Job.objects.select_for_update().get(id=job_id)
        resumed = end_active_pause(job, ended_by=BY_ITSELF, now=now) is not None
        if resumed:
            resume_chain(job, now=now)
        return resumed


def end_active_pause(job: Job, *, ended_by: str, now: datetime) -> Pause | None:
    """End the pause of a locked job, if it has one, and return it.

    The ticks up to its end were paused, and are settled as such; those after it are planned as
    usual. A pause whose time was over already ended then, and by itself.
    """
    pause = Pause.objects.active().filter(job=job).first()
    if pause is None:
        return None
    end, by = now, ended_by
    if pause.until_at is not None and pause.until_at <= now:
        end, by = pause.until_at, BY_ITSELF
    plan_jobs([job.id], now=end)
    pause.ended_at, pause.ended_by = end, by
    pause.save(update_fields=["ended_at", "ended_by"])
    return pause
