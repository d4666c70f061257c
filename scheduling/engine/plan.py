"""Plans: every tick that has fallen due becomes a run or a verdict, exactly once.

A batch of due jobs is locked (other beats skip what is locked), each job's ticks in
(planned_until, now] are judged, and runs, verdicts and the advanced `planned_until` are written in
one transaction. A job with more to catch up than that may hold stays due, and is planned on at
once. A job whose schedule cannot be read is set aside with the reason; the others go on.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from scheduling.bulk import update_rows
from scheduling.engine.aside import mark_aside, set_job_aside
from scheduling.engine.epochs import next_due, open_epochs
from scheduling.engine.hindrance import Hindrances
from scheduling.engine.last_runs import note_when_committed
from scheduling.engine.new_run import planned_run
from scheduling.engine.one_by_one import each_alone, together_or_alone
from scheduling.engine.skipped import write_skipped
from scheduling.models import Job, Run, ScheduleEpoch, SkippedTicks
from scheduling.models.job import RescheduleMode
from scheduling.transitions import open_runs
from scheduling.verdicts import MOST_RUNS_AT_ONCE, Situation, judge

PAGE = 250  # as many jobs as a transaction of less than 250 ms plans on a slow machine


@dataclass
class Planned:
    """What one batch decided, to be written together."""

    jobs: list[Job] = field(default_factory=list)
    spent: list[ScheduleEpoch] = field(default_factory=list)  # of one-off jobs that had their run
    runs: list[Run] = field(default_factory=list)
    skipped: list[SkippedTicks] = field(default_factory=list)


def plan_due_jobs(scope: str, *, now: datetime) -> int:
    """Plan a page of the jobs that are due, the longest overdue among them; return how many."""
    plan = partial(plan_jobs, now=now)
    return sum(together_or_alone(_due_job_ids(scope, now), plan, set_aside=set_job_aside))


def _due_job_ids(scope: str, now: datetime) -> list[int]:
    """Return a page of due jobs. Of more than that half are the last that fell due.

    So they run on time however many others are far behind, and stay so for many turns.
    """
    due = Job.objects.in_scope(scope).due(now).values_list("id", flat=True)
    longest = list(due.order_by("next_due_at")[:PAGE])
    if len(longest) < PAGE:
        return longest
    latest = due.order_by("-next_due_at")[: PAGE // 2]
    return list(dict.fromkeys((*latest, *longest)))[:PAGE]


def plan_jobs(job_ids: Sequence[int], *, now: datetime) -> int:
    """Plan the given jobs up to `now`; return how many nobody else was planning."""
    with transaction.atomic():
        jobs = list(
            Job.objects.select_for_update(skip_locked=True)
            .filter(id__in=job_ids, next_due_at__lte=now, reschedule_mode=RescheduleMode.SCHEDULER)
            .order_by("id")
        )
        write(judge_all(jobs, now=now))
    return len(jobs)


def judge_all(jobs: Sequence[Job], *, now: datetime) -> Planned:
    """Judge the due ticks of locked jobs; changes the job objects, writes nothing."""
    planned = Planned(jobs=list(jobs))
    plan_one = partial(_plan_one, standing=_Standing.of(jobs, now=now), planned=planned, now=now)
    each_alone(jobs, plan_one, set_aside=mark_aside)
    return planned


def write(planned: Planned) -> None:
    """Write what was judged, within the caller's transaction."""
    open_runs(planned.runs)
    write_skipped(planned.skipped)
    update_rows(planned.jobs, ["planned_until", "next_due_at", "schedule_error", "enabled"])
    if planned.spent:
        update_rows(planned.spent, ["to_at"])
        PeriodicTask.objects.filter(job__epochs__in=planned.spent).update(enabled=False)
    note_when_committed(planned.runs, spent_jobs={epoch.job_id for epoch in planned.spent})


@dataclass(frozen=True)
class _Standing:
    """What is known of a batch of jobs besides their rows, read in four queries."""

    epochs: dict[int, ScheduleEpoch]
    hindrances: Hindrances
    unended: Counter[int]
    most_catch_ups: int  # of each: a transaction makes no more runs for many jobs than for one

    @classmethod
    def of(cls, jobs: Sequence[Job], *, now: datetime) -> "_Standing":
        ids = [job.pk for job in jobs]
        return cls(
            epochs=open_epochs(jobs),
            hindrances=Hindrances.of(ids),
            unended=Run.objects.open().holding_back(now).count_by_job(ids),
            most_catch_ups=max(1, MOST_RUNS_AT_ONCE // max(1, len(ids))),
        )

    def free_slots(self, job: Job) -> int:
        # Half open: the breaker lets one trial through (SPEC A13).
        limit = 1 if job.pk in self.hindrances.tripped else job.max_parallel
        return limit - self.unended[job.pk]


def _plan_one(job: Job, *, standing: _Standing, planned: Planned, now: datetime) -> None:
    epoch = standing.epochs[job.id]
    recurrence = epoch.recurrence()
    after = job.planned_until or epoch.from_at
    until = min(now, epoch.ends_at) if epoch.ends_at else now
    stopped = standing.hindrances.stopped(job, now=now)
    if job.one_off and stopped is None:
        until = min(until, recurrence.next_after(after) or until)
    verdicts = judge(
        recurrence,
        Situation(
            after=after,
            until=until,
            now=now,
            misfire=job.misfire,
            grace=job.misfire_grace,
            catch_up_window=job.catch_up_window,
            overlap=job.overlap,
            free_slots=standing.free_slots(job),
            stopped=stopped,
            trial=job.pk in standing.hindrances.tripped,
            most_catch_ups=standing.most_catch_ups,
        ),
    )
    planned.runs += [planned_run(job, epoch, recurrence, tick, now) for tick in verdicts.runs]
    planned.skipped += [
        SkippedTicks(job=job, epoch=epoch, **dataclasses.asdict(span)) for span in verdicts.spans
    ]
    job.planned_until = max(after, verdicts.until)
    job.next_due_at = next_due(epoch, recurrence, after=job.planned_until)
    if job.one_off and verdicts.runs:
        job.enabled, job.next_due_at, epoch.to_at = False, None, job.planned_until
        planned.spent.append(epoch)
