"""How long a job's history is kept, and which jobs have older, page by page over all jobs."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import OuterRef, Q, Subquery

from scheduling.conf import conf
from scheduling.models import Job, Run, SkippedTicks
from scheduling.tally import day_of, start_of

PAGE = 200


def kept_since(job: Job, now: datetime) -> datetime:
    """Return from when on a job's history is kept: whole UTC days, at least the policy's age."""
    del job  # every job has the platform's age
    return newest_horizon(now)


def newest_horizon(now: datetime) -> datetime:
    """Return from when on everything is kept, whichever job it is of."""
    return start_of(day_of(now - timedelta(days=conf.OPS_LEDGER_DAYS)))


@dataclass(frozen=True)
class Page:
    """Of the jobs looked at, those that may have old history; and the last (primary keys)."""

    old: list[int]
    last: int


def next_page(scope: str, *, after: int, now: datetime) -> Page | None:
    """Look at the jobs after one, deleted ones included; None behind the last."""
    jobs = Job.objects.filter(scope=scope, id__gt=after).order_by("id")
    looked_at = list(jobs.values_list("id", flat=True)[:PAGE])
    if not looked_at:
        return None
    horizon = newest_horizon(now)
    old = _with_old_ticks(looked_at, horizon)
    old |= _with_old_unplanned_runs(set(looked_at) - old, horizon)
    return Page(sorted(old), looked_at[-1])


def _with_old_ticks(job_ids: Collection[int], horizon: datetime) -> set[int]:
    """The oldest of each job, by a subquery that one step into an index answers."""
    runs = Run.objects.filter(job=OuterRef("pk"), scheduled_for__isnull=False)
    spans = SkippedTicks.objects.filter(job=OuterRef("pk"))
    jobs = Job.objects.filter(id__in=job_ids).annotate(
        tick=Subquery(runs.order_by("scheduled_for").values("scheduled_for")[:1]),
        span=Subquery(spans.order_by("until").values("until")[:1]),
    )
    old = jobs.filter(Q(tick__lt=horizon) | Q(span__lt=horizon))
    return set(old.values_list("id", flat=True))


def _with_old_unplanned_runs(job_ids: Collection[int], horizon: datetime) -> set[int]:
    """Only of jobs without old ticks: their index by end holds nothing else that is old."""
    runs = Run.objects.filter(job=OuterRef("pk"), scheduled_for=None, finished_at__lt=horizon)
    jobs = Job.objects.filter(id__in=job_ids).annotate(
        ended=Subquery(runs.order_by("finished_at").values("finished_at")[:1])
    )
    return set(jobs.filter(ended__isnull=False).values_list("id", flat=True))
