"""Closes the accounts of jobs whose periodic task was deleted, one by one or by the thousands."""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef
from django_celery_beat.models import PeriodicTask

from scheduling.engine.adoption.edits import settle
from scheduling.engine.epochs import close_epoch, open_epochs
from scheduling.models import Job, ScheduleEpoch
from scheduling.recurrence import Chain

logger = logging.getLogger(__name__)

BATCH = 200


def detach_deleted(scope: str, *, among: Sequence[int] | None = None) -> int:
    """Take its periodic task from each job whose row is gone, though the database did not do so.

    Django empties the reference when it deletes; raw SQL on SQLite, without foreign keys, does not.
    `among`: the primary keys of the rows to look for, by default all.
    """
    row = PeriodicTask.objects.filter(pk=OuterRef("schedule_id"))
    lost = Job.objects.in_scope(scope).filter(~Exists(row), schedule__isnull=False)
    if among is not None:
        lost = lost.filter(schedule_id__in=among)
    return lost.update(schedule=None)


def close_orphans(scope: str, *, now: datetime) -> int:
    """Settle and close every open account of a job that has no periodic task; return how many."""
    total = 0
    while orphans := _orphans(scope):
        _close(orphans, now)
        total += len(orphans)
    return total


def _orphans(scope: str) -> list[int]:
    planned = ScheduleEpoch.objects.filter(job=OuterRef("pk"), to_at=None).exclude(
        kind=Chain.kind,
        spec__cron=None,
        job__next_delay__isnull=False,  # it needs no row
    )
    jobs = Job.objects.in_scope(scope).filter(Exists(planned), schedule=None)
    return list(jobs.order_by("id").values_list("id", flat=True)[:BATCH])


def _close(orphans: list[int], now: datetime) -> None:
    with transaction.atomic():
        jobs = list(Job.objects.select_for_update().filter(pk__in=orphans).order_by("id"))
        settle(*jobs, now=now)
        epochs = open_epochs(jobs)
        for job in jobs:
            if job.pk in epochs:
                close_epoch(job, epochs[job.pk], at=now)
    for job in jobs:
        logger.info("schedule_deleted", extra={"job_id": job.job_id, "scope": job.scope})
