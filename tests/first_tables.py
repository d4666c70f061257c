"""Fills the tables as the first migration of `scheduling` made them, with the models of that time.

`python -m tests.first_tables JOBS TICKS`, on a database that is migrated to `scheduling 0001`.
"""

import sys
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any
from uuid import uuid4

import django

EVERY = timedelta(hours=1)  # the last tick was half an hour ago: none comes during a test
ENDED = ("done", "failed", "timeout", "cancelled")
OPEN = ("pending", "ready", "queued", "running")  # the newest runs of a job, the latest last
NOT_RUN = 3  # ticks of each job that were skipped, before all others


def main(jobs: int, ticks: int) -> None:
    """Give each job an epoch whose every tick up to now has its run or its verdict."""
    django.setup()
    from django.db import connection, transaction  # noqa: PLC0415 after setup
    from django.db.migrations.loader import MigrationLoader  # noqa: PLC0415 the same

    state = MigrationLoader(connection).project_state(("scheduling", "0001_initial"))
    with transaction.atomic():
        for number in range(jobs):
            _fill(state.apps, number, ticks)


def _fill(apps: Any, number: int, ticks: int) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    anchor = now - EVERY * ticks - EVERY / 2
    job = _job(apps, number, anchor=anchor, planned_until=now)
    epoch = apps.get_model("scheduling", "ScheduleEpoch").objects.create(
        job=job,
        kind="interval",
        spec={"anchor": anchor.isoformat(), "every_seconds": EVERY.total_seconds()},
        from_at=anchor,
    )
    apps.get_model("scheduling", "SkippedTicks").objects.create(
        job=job,
        epoch=epoch,
        reason="paused",
        after=anchor,
        until=anchor + EVERY * NOT_RUN,
        count=NOT_RUN,
    )
    _write_runs(apps, job, epoch, [anchor + EVERY * n for n in range(NOT_RUN + 1, ticks + 1)])


def _job(apps: Any, number: int, *, anchor: datetime, planned_until: datetime) -> Any:
    interval = apps.get_model("django_celery_beat", "IntervalSchedule")
    every, _ = interval.objects.get_or_create(every=1, period="hours")
    row = apps.get_model("django_celery_beat", "PeriodicTask").objects.create(
        name=f"real:job-{number}", task="tests.task", interval=every, last_run_at=planned_until
    )
    job = apps.get_model("scheduling", "Job").objects.create(
        scope="real",
        job_id=f"job-{number}",
        schedule=row,
        task="tests.task",
        queue="real.jobs",
        max_parallel=len(OPEN),
        overlap="queue",
        planned_until=planned_until,
        next_due_at=planned_until + EVERY / 2,
    )
    apps.get_model("scheduling", "JobStatus").objects.create(job=job, last_status="done")
    apps.get_model("scheduling", "Pause").objects.create(
        job=job, paused_by="me", from_at=anchor, ended_at=anchor + EVERY * NOT_RUN, ended_by="me"
    )
    return job


def _write_runs(apps: Any, job: Any, epoch: Any, ticks: list[datetime]) -> None:
    worker = apps.get_model("scheduling", "WorkerProcess").objects.create(
        scope="real", hostname="w@first", pid=1, pool="prefork", concurrency=1, can_stop=True,
        started_at=ticks[0], lost_at=ticks[-1],
    )  # fmt: skip
    ended = zip(ticks[: -len(OPEN)], cycle(ENDED), strict=False)
    states = [*ended, *zip(ticks[-len(OPEN) :], OPEN, strict=True)]
    runs = [_run(apps, job, epoch, tick, state, worker) for tick, state in states]
    apps.get_model("scheduling", "Run").objects.bulk_create(runs)
    started = [run for run in runs if run.started_at]
    apps.get_model("scheduling", "Attempt").objects.bulk_create(
        apps.get_model("scheduling", "Attempt")(
            id=run.attempt_id, run=run, number=1, worker=worker, started_at=run.started_at,
            finished_at=run.finished_at, outcome=run.state if run.finished_at else "",
        )
        for run in started
    )  # fmt: skip
    apps.get_model("scheduling", "RunEvent").objects.bulk_create(
        apps.get_model("scheduling", "RunEvent")(
            scope="real", kind="job_started", run=run, attempt=1, at=run.started_at
        )
        for run in started
    )


def _run(apps: Any, job: Any, epoch: Any, tick: datetime, state: str, worker: Any) -> Any:
    started = state == "running" or state in ENDED
    return apps.get_model("scheduling", "Run")(
        id=uuid4(), scope="real", job=job, epoch=epoch, scheduled_for=tick, trigger="scheduler",
        task=job.task, queue=job.queue, retry_backoff="exponential", state=state, created_at=tick,
        ready_at=tick, attempt=0 if state in {"pending", "ready"} else 1,
        attempt_id=None if state in {"pending", "ready"} else uuid4(),
        queued_at=tick if started or state == "queued" else None,
        started_at=tick if started else None,
        finished_at=tick + EVERY if state in ENDED else None,
        worker=worker if started else None,
        result={"rows": 3} if state == "done" else None,
        error="ValueError: no" if state == "failed" else "",
    )  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
