"""A past for a job: rows as beats and workers would have written them, in bulk."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from uuid_utils.compat import uuid7

from scheduling.models import Attempt, Job, Run, RunEvent, ScheduleEpoch, SkippedTicks
from scheduling.models.event import EventKind
from scheduling.states import Outcome, RunState, Trigger
from scheduling.verdicts import INSTANT

MINUTE = timedelta(minutes=1)
PAGE = 2_000


def write_past(job: Job, *, until: datetime, skipped_every: int = 5) -> None:
    """Give every tick up to `until` a run with attempt and event, or every so often a skip."""
    epoch = ScheduleEpoch.objects.get(job=job, to_at=None)
    ticks = epoch.recurrence().between(job.planned_until or epoch.from_at, until)
    number = 0
    while page := list(islice(ticks, PAGE)):
        numbered = list(enumerate(page, start=number))
        number += len(page)
        _write_runs(job, epoch, [tick for n, tick in numbered if (n + 1) % skipped_every])
        _write_skips(job, epoch, [tick for n, tick in numbered if not (n + 1) % skipped_every])
    Job.objects.filter(pk=job.pk).update(
        planned_until=until, next_due_at=epoch.recurrence().next_after(until)
    )
    job.refresh_from_db()


def run_of(job: Job, **given: object) -> Run:
    """Return an unsaved run that is done."""
    values = {"scope": job.scope, "job": job, "task": job.task, "queue": job.queue, "attempt": 1}
    return Run(**{**values, "trigger": Trigger.SCHEDULER, "state": RunState.DONE, **given})


def numbers(first: int) -> Iterator[int]:
    """The next numbers of events."""
    last = RunEvent.objects.filter(seq__isnull=False).order_by("-seq").first()
    start = (last.seq or 0) if last else 0
    return iter(range(start + 1, start + 1 + first))


def _write_runs(job: Job, epoch: ScheduleEpoch, ticks: list[datetime]) -> None:
    runs = [
        run_of(
            job,
            epoch=epoch,
            scheduled_for=tick,
            created_at=tick,
            started_at=tick,
            finished_at=tick + MINUTE,
            attempt_id=uuid7(),
        )
        for tick in ticks
    ]
    Run.objects.bulk_create(runs)
    Attempt.objects.bulk_create(
        Attempt(
            id=run.attempt_id or uuid7(),
            run=run,
            number=1,
            started_at=run.created_at,
            finished_at=run.finished_at,
            outcome=Outcome.DONE,
        )
        for run in runs
    )
    RunEvent.objects.bulk_create(
        RunEvent(scope=run.scope, kind=EventKind.COMPLETED, run=run, attempt=1, at=at, seq=seq)
        for run, seq in zip(runs, numbers(len(runs)), strict=True)
        if (at := run.finished_at)
    )


def _write_skips(job: Job, epoch: ScheduleEpoch, ticks: list[datetime]) -> None:
    SkippedTicks.objects.bulk_create(
        SkippedTicks(
            job=job, epoch=epoch, reason="overlap", after=tick - INSTANT, until=tick, count=1
        )
        for tick in ticks
    )
