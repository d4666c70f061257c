"""Ends the pauses whose time is over, after settling what they swallowed (SPEC A11)."""

from datetime import datetime

from django.db import transaction

from scheduling.engine.plan import plan_jobs
from scheduling.models import Job, Pause


def end_pauses(scope: str, *, now: datetime) -> int:
    """Resume every job whose pause has run out; return how many."""
    over = Pause.objects.over(now).filter(job__scope=scope)
    ended = 0
    for pause in over:
        ended += _end(pause)
    return ended


def _end(pause: Pause) -> int:
    """The ticks up to the end were paused; those after it are planned as usual."""
    if pause.until_at is None:
        return 0
    with transaction.atomic():
        Job.objects.select_for_update().get(id=pause.job_id)
        plan_jobs([pause.job_id], now=pause.until_at)
        return Pause.objects.filter(id=pause.id, ended_at=None).update(
            ended_at=pause.until_at, ended_by="timer"
        )
