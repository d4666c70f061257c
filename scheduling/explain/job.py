"""The gates of a job's next tick, and the run that a job has instead where one is under way."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, OuterRef, Subquery, When

from scheduling.engine.hindrance import Hindrances
from scheduling.engine.one_by_one import read_rows
from scheduling.explain.gate import Explanation, Gate, closed, opened
from scheduling.explain.run import EXPLAINED, NO_BEAT, explain_runs
from scheduling.models import Job, JobStatus, Pause, Run
from scheduling.models.run import WAITING_LINK
from scheduling.states import RunState

IDLE = "idle"  # nothing of it is under way
ORDER = (RunState.RUNNING, RunState.STOPPING, RunState.QUEUED, RunState.READY, RunState.PENDING)
HOW_FAR = [When(state=state, then=number) for number, state in enumerate(ORDER)]


def explain_job(job: Job, *, now: datetime) -> Explanation:
    """Return why a job is not running, or that it is."""
    (found,) = explain_jobs([job], now=now)
    return found


def explain_jobs(jobs: Sequence[Job], *, now: datetime) -> list[Explanation]:
    """Return it of many jobs, in their order, in a number of queries that does not grow."""
    pks = [job.pk for job in jobs]
    hindrances = Hindrances.of(pks)
    pauses = {pause.job_id: pause for pause in Pause.objects.active().filter(job_id__in=pks)}
    statuses = JobStatus.objects.in_bulk(pks)
    spent = _spent(jobs)
    under_way = _under_way(pks)
    of_runs = explain_runs(list(under_way.values()), now=now)
    explained = dict(zip(under_way, of_runs, strict=True))
    found = []
    for job in jobs:
        what, of_run = f"job {job}", explained.get(job.pk)
        if of_run is not None:
            found.append(dataclasses.replace(of_run, what=f"{what}, {of_run.what}"))
        else:
            pause, status = pauses.get(job.pk), statuses.get(job.pk)
            standing = _Standing(pause, status, hindrances, is_spent=job.pk in spent)
            gates = list(_gates(job, standing, now))
            found.append(Explanation(what=what, state=IDLE, gates=gates))
    return found


@dataclass(frozen=True)
class _Standing:
    """What is known of one job besides its row."""

    pause: Pause | None
    status: JobStatus | None
    hindrances: Hindrances
    is_spent: bool  # it was to run once, and has


def _under_way(pks: Sequence[int]) -> dict[int, Run]:
    """Return of each job the run to look at: one that runs, or the next to be started.

    However many are open, one of each is read. One that cannot be read is the engine's to set
    aside: until then its job is explained by the next tick.
    """
    open_runs = Run.objects.open().filter(job=OuterRef("pk"))
    furthest = (
        open_runs.exclude(WAITING_LINK, state=RunState.PENDING)
        .annotate(left=Case(*HOW_FAR, default=0))
        .order_by("left", "priority", "id")
    )
    of_jobs = Job.objects.filter(pk__in=pks).annotate(under_way=Subquery(furthest.values("id")[:1]))
    ids = of_jobs.exclude(under_way=None).values_list("under_way", flat=True)
    runs = Run.objects.filter(pk__in=list(ids)).only(*EXPLAINED)
    return {run.job_id or 0: run for run in read_rows(runs, set_aside=lambda *_: None)}


def _spent(jobs: Sequence[Job]) -> set[int]:
    once = [job.pk for job in jobs if job.one_off and not job.enabled]
    if not once:
        return set()
    planned = Run.objects.filter(job_id__in=once, scheduled_for__isnull=False)
    return {pk for pk in planned.values_list("job_id", flat=True) if pk is not None}


def _gates(job: Job, standing: _Standing, now: datetime) -> Iterator[Gate]:
    waits = [
        _enabled(job, standing),
        _paused(standing.pause, now),
        _schedule(job, standing),
        _breaker(job, standing, now),
        *_due(job, now),
    ]
    yield from waits
    if all(gate.open for gate in waits):
        yield closed(
            "beat", "no beat has planned what fell due", since=job.next_due_at, remedy=NO_BEAT
        )


def _enabled(job: Job, standing: _Standing) -> Gate:
    if job.enabled:
        return opened("enabled", "it is enabled")
    says = "it was to run once, and has" if standing.is_spent else "it is disabled"
    where = "its periodic task in the admin" if job.schedule_id is not None else "it"
    return closed("enabled", says, remedy=f"enable {where}")


def _schedule(job: Job, standing: _Standing) -> Gate:
    if job.schedule_error:
        return closed("schedule", job.schedule_error, remedy="correct its schedule in the admin")
    # A chain has no next time while it is paused.
    awaited = job.enabled and not (standing.pause and job.is_chained)
    if job.next_due_at is None and (awaited or job.schedule_id is None):
        return closed(
            "schedule", "it has no schedule to come: only run-now starts it", remedy="run it now"
        )
    return opened("schedule", "it has a schedule")


def _paused(pause: Pause | None, now: datetime) -> Gate:
    if pause is None:
        return opened("paused", "it is not paused")
    why = f": {pause.reason}" if pause.reason else ""
    if pause.until_at is not None and pause.until_at <= now:
        says = f"paused by {pause.paused_by}{why}; that is over, and no beat has resumed it yet"
        return closed("paused", says, since=pause.from_at, remedy=NO_BEAT)
    return closed(
        "paused",
        f"paused by {pause.paused_by}{why}",
        since=pause.from_at,
        until=pause.until_at,
        remedy="resume it, or run it now",
    )


def _breaker(job: Job, standing: _Standing, now: datetime) -> Gate:
    cooled_at, status = standing.hindrances.cooled_at(job), standing.status
    if cooled_at is None or status is None:
        return opened("breaker", "its breaker is closed")
    if now >= cooled_at:
        return opened("breaker", "its breaker has cooled down and lets one trial through")
    return closed(
        "breaker",
        f"{status.consecutive_errors} attempts failed in a row, the last with: "
        f"{status.last_error or 'no text'}",
        since=status.tripped_at,
        until=cooled_at,
        remedy="mend what fails, then reset the breaker",
    )


def _due(job: Job, now: datetime) -> Iterator[Gate]:
    if job.next_due_at is None:
        return
    if job.next_due_at <= now:
        yield opened("due", "it is due")
    else:
        says = "its next tick is still to come"
        yield closed("due", says, until=job.next_due_at, remedy="run it now")
