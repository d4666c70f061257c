"""Adopts: keeps jobs in step with the PeriodicTask rows of django-celery-beat.

A row without a job was made by somebody else and becomes one; a row that differs from its job was
edited elsewhere (the stock admin, a migration) and is copied down, see `edits`.
"""

import logging
import re
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from scheduling.clock import OUTAGE
from scheduling.engine.edits import copy_down, job_fields, settle
from scheduling.engine.epochs import close_epoch, open_epoch
from scheduling.engine.schedules import schedule_of
from scheduling.logs import configured_redactor
from scheduling.models import Job, JobStatus, ScheduleEpoch

logger = logging.getLogger(__name__)

NOT_JOBS = ("celery.backend_cleanup",)  # stock beat's own; there is no result backend here


class Adoption:
    """Looks at the rows again when django-celery-beat says that one changed."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self._seen: Any = object()

    def follow(self, *, now: datetime) -> int:
        """Bring the scope's jobs in step if anything changed; return how many rows were seen."""
        last_change = PeriodicTasks.last_change()  # type: ignore[no-untyped-call] # it has no types
        if last_change == self._seen:
            return 0
        rows = _readable_rows()
        for row in rows:
            self._follow_row(row, now)
        _close_orphans(self.scope, now)
        self._seen = last_change
        return len(rows)

    def _follow_row(self, row: PeriodicTask, now: datetime) -> None:
        job: Job | None = getattr(row, "job", None)
        try:
            if job is None:
                if self.scope == settings.OPS_ADOPT_SCOPE:
                    adopt(row, scope=self.scope, now=now)
            elif job.scope == self.scope and job.deleted_at is None:
                copy_down(row, job, now=now)
        except OUTAGE:
            raise
        except IntegrityError:
            # Another beat adopted the row at the same moment.
            logger.info("schedule_followed_elsewhere", extra={"periodic_task": row.name})
        except Exception as error:
            # One row that cannot be read must not keep the others from being followed.
            logger.exception("schedule_not_followed", extra={"periodic_task": row.name})
            if job is not None:
                text = configured_redactor().text(str(error))
                Job.objects.filter(id=job.id).update(schedule_error=text)


def _readable_rows() -> list[PeriodicTask]:
    """Return the rows at once, or one by one if one of them cannot even be read."""
    rows = PeriodicTask.objects.select_related("interval", "crontab", "job").exclude(
        task__in=NOT_JOBS
    )
    try:
        return list(rows)
    except OUTAGE:
        raise
    except Exception:
        logger.exception("schedules_not_readable_together")
    return [row for pk in rows.values_list("pk", flat=True) for row in _readable(rows, pk)]


def _readable(rows: QuerySet[PeriodicTask], pk: int) -> list[PeriodicTask]:
    try:
        return [rows.get(pk=pk)]
    except OUTAGE:
        raise
    except Exception as error:
        logger.exception("schedule_not_readable", extra={"periodic_task": pk})
        text = configured_redactor().text(f"its periodic task cannot be read: {error}")
        Job.objects.filter(schedule_id=pk).update(schedule_error=text)
        return []


def adopt(row: PeriodicTask, *, scope: str, now: datetime) -> Job:
    """Make a job of a row that somebody else wrote; its first tick is the first still in grace."""
    with transaction.atomic():
        # Its timeout is the task's own: the platform's default would end work that is allowed.
        job = Job(
            scope=scope, job_id=_free_id(row, scope), schedule=row, adopted=True, timeout=None
        )
        for name, value in job_fields(row).items():
            setattr(job, name, value)
        job.save()
        JobStatus.objects.create(job=job)
        if job.enabled:
            begin = now - job.misfire_grace
            begin = max(begin, row.last_run_at) if row.last_run_at else max(begin, row.date_changed)
            open_epoch(job, schedule_of(row, anchor=row.last_run_at or begin), at=min(begin, now))
    logger.info("schedule_adopted", extra={"job_id": job.job_id, "scope": scope})
    return job


def _close_orphans(scope: str, now: datetime) -> None:
    """A job whose row was deleted has no schedule any more."""
    orphans = ScheduleEpoch.objects.filter(
        to_at=None, job__scope=scope, job__schedule=None
    ).values_list("job_id", flat=True)
    for job_id in orphans:
        with transaction.atomic():
            job = Job.objects.select_for_update().get(id=job_id)
            settle(job, now=now)
            close_epoch(job, ScheduleEpoch.objects.get(job=job, to_at=None), at=now)


def _free_id(row: PeriodicTask, scope: str) -> str:
    """Return the row's name as a job id, with the row's number where that is taken."""
    wanted = (
        re.sub(r"[^A-Za-z0-9_.:-]+", "-", row.name).strip("-_.:")[:180] or f"periodic-task-{row.id}"
    )
    taken = Job.objects.filter(scope=scope, job_id=wanted).exists()
    return f"{wanted}-{row.id}" if taken else wanted
