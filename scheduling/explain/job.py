"""The gates of a job's next tick, and the run that a job has instead where one is under way."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduling.engine.hindrance import Hindrances
from scheduling.explain.gate import Explanation, Gate, closed, opened
from scheduling.explain.run import NO_BEAT, explain_runs
from scheduling.models import Job, JobStatus, Pause, Run
from scheduling.models.run import WAITING_LINK
from scheduling.states import RunState

IDLE = "idle"  # nothing of it is under way


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
    under_way = _under_way(pks)
    of_runs = explain_runs(list(under_way.values()), now=now)
    explained = dict(zip(under_way, of_runs, strict=True))
    found = []
    for job in jobs:
        what, of_run = f"job {job}", explained.get(job.pk)
        if of_run is not None:
            found.append(dataclasses.replace(of_run, what=f"{what}, {of_run.what}"))
        else:
            standing = _Standing(pauses.get(job.pk), statuses.get(job.pk), hindrances)
            gates = list(_gates(job, standing, now))
            found.append(Explanation(what=what, state=IDLE, gates=gates))
    return found


@dataclass(frozen=True)
class _Standing:
    """What is known of one job besides its row."""

    pause: Pause | None
    status: JobStatus | None
    hindrances: Hindrances


def _under_way(pks: Sequence[int]) -> dict[int, Run]:
    """Return of each job the run to look at: one that runs, or the next to be started."""
    runs = Run.objects.open().filter(job_id__in=pks).exclude(WAITING_LINK, state=RunState.PENDING)
    found: defaultdict[int, list[Run]] = defaultdict(list)
    for run in runs.select_related("job", "worker").in_claim_order():
        found[run.job_id or 0].append(run)
    return {pk: max(of_job, key=_how_far) for pk, of_job in found.items()}


def _how_far(run: Run) -> int:
    order = (RunState.PENDING, RunState.READY, RunState.QUEUED, RunState.STOPPING, RunState.RUNNING)
    return order.index(RunState(run.state))


def _gates(job: Job, standing: _Standing, now: datetime) -> Iterator[Gate]:
    yield _enabled(job)
    yield _schedule(job)
    yield _paused(standing.pause)
    yield _breaker(job, standing, now)
    yield from _due(job, now)


def _enabled(job: Job) -> Gate:
    if job.enabled:
        return opened("enabled", "it is enabled")
    says = "it was to run once, and has" if job.one_off and job.planned_until else "it is disabled"
    return closed("enabled", says, remedy="enable its periodic task in the admin")


def _schedule(job: Job) -> Gate:
    if job.schedule_error:
        return closed("schedule", job.schedule_error, remedy="correct its schedule in the admin")
    if job.next_due_at is None and (job.enabled or job.schedule_id is None):
        return closed(
            "schedule", "it has no schedule to come: only run-now starts it", remedy="run it now"
        )
    return opened("schedule", "it has a schedule")


def _paused(pause: Pause | None) -> Gate:
    if pause is None:
        return opened("paused", "it is not paused")
    why = f": {pause.reason}" if pause.reason else ""
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
    if job.next_due_at > now:
        yield closed(
            "due", "its next tick is still to come", until=job.next_due_at, remedy="run it now"
        )
        return
    yield opened("due", "it is due")
    yield closed(
        "beat",
        "no beat has planned what fell due",
        since=job.next_due_at,
        remedy=NO_BEAT,
    )
