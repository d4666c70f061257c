"""Copies down: an edit of a job's periodic task, made anywhere, becomes the job's (SPEC A7).

What was due under the old schedule is settled first; the old epoch closes and a new one opens in
the same transaction.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from scheduling.bulk import update_rows
from scheduling.engine.adoption.comparison import Edit, edit_of
from scheduling.engine.adoption.periodic_tasks import read_rows
from scheduling.engine.adoption.routes import Routes
from scheduling.engine.chains.chain import plan_links
from scheduling.engine.chains.links import refresh_links, withdraw_links
from scheduling.engine.coming_back import bring_back, is_aside
from scheduling.engine.epochs import PLANNING, end_of, new_epoch, open_epochs
from scheduling.engine.plan import judge_all, write
from scheduling.engine.schedules import Schedule
from scheduling.models import Job, ScheduleEpoch

logger = logging.getLogger(__name__)


def copy_down(pairs: Sequence[tuple[PeriodicTask, Job]], routes: Routes, *, now: datetime) -> int:
    """Make jobs equal to their rows, in one transaction; return how many differed.

    Looks without a lock first, and again with it: the beat itself writes both, for a one-off job,
    and other beats look at the same rows.
    """
    epochs = open_epochs([job for _, job in pairs])
    differing = [
        job.pk
        for row, job in pairs
        if edit_of(row, job, epochs.get(job.pk), routes, now=now) is not None
    ]
    if not differing:
        return 0
    with transaction.atomic():
        edited = _copy(differing, routes, now)
    for job in edited:
        logger.info("schedule_edited", extra={"job_id": job.job_id, "scope": job.scope})
    return len(edited)


def settle(*jobs: Job, now: datetime) -> None:
    """Give what fell due under the present schedules its runs or verdicts; the jobs are locked.

    Also what fell due while one was set aside, if it can be planned by now.
    """
    bring_back([job for job in jobs if is_aside(job)])
    ticking = (job for job in jobs if not job.is_chained)
    due = [job for job in ticking if job.next_due_at is not None and job.next_due_at <= now]
    while due:
        write(judge_all(due, now=now))
        # One-off jobs are judged tick by tick, until one runs; long catch-ups page by page.
        due = [job for job in due if job.next_due_at is not None and job.next_due_at <= now]


def _copy(job_pks: Sequence[int], routes: Routes, now: datetime) -> list[Job]:
    jobs = list(Job.objects.select_for_update().filter(pk__in=job_pks).order_by("id"))
    bring_back(jobs)
    settle(*jobs, now=now)
    rows = {row.pk: row for row in read_rows([job.schedule_id or 0 for job in jobs])}
    epochs = open_epochs(jobs)
    batch = _Batch(now)
    for job in jobs:
        row, epoch = rows.get(job.schedule_id or 0), epochs.get(job.pk)
        if row is not None and (edit := edit_of(row, job, epoch, routes, now=now)) is not None:
            batch.add(job, epoch, edit)
    batch.write()
    return batch.jobs


@dataclass
class _Batch:
    """What edits change, to be written together."""

    now: datetime
    jobs: list[Job] = field(default_factory=list)
    fields: set[str] = field(default_factory=set)
    closed: list[ScheduleEpoch] = field(default_factory=list)
    opened: list[ScheduleEpoch] = field(default_factory=list)

    def add(self, job: Job, epoch: ScheduleEpoch | None, edit: Edit) -> None:
        for name, value in edit.fields.items():
            setattr(job, name, value)
        self.fields.update(edit.fields)
        self.jobs.append(job)
        if edit.schedule is not None:
            self._switch(job, epoch, edit.schedule)
        elif epoch is not None and not job.enabled:
            self._close(epoch, end_of(epoch, job, at=self.now))
            job.next_due_at = None
        if edit.problem:
            job.schedule_error = edit.problem

    def _switch(self, job: Job, epoch: ScheduleEpoch | None, schedule: Schedule) -> None:
        begun = self.now - job.catch_up_window
        earliest = max(begun, job.planned_until) if job.planned_until else begun
        end = end_of(epoch, job, at=self.now) if epoch is not None else self.now
        opened = new_epoch(job, schedule, at=self.now, earliest=earliest)
        if epoch is not None:
            self._close(epoch, max(epoch.from_at, min(end, opened.from_at)))
        self.opened.append(opened)

    def _close(self, epoch: ScheduleEpoch, at: datetime) -> None:
        epoch.to_at = at
        self.closed.append(epoch)

    def write(self) -> None:
        update_rows(self.jobs, {*self.fields, *PLANNING})
        update_rows(self.closed, ["to_at"])
        ScheduleEpoch.objects.bulk_create(self.opened)
        withdraw_links(self.closed, now=self.now)
        refresh_links(self.jobs, now=self.now)
        plan_links([job for job in self.jobs if job.is_chained], now=self.now)
