"""Fills the database of a platform under test: jobs with histories to look at, or one more run.

`board_seed.py fill` makes the user `operator` and a board with every state; `board_seed.py run`
inserts a run that is running now and writes its id to stdout. Works on the environment's database.
"""

import os
import sys
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsproject.settings")
django.setup()

from django.conf import settings  # noqa: E402 Django has to be set up first
from django.contrib.auth import get_user_model  # noqa: E402
from uuid_utils.compat import uuid7  # noqa: E402

from monitoring.dashboard import update_snapshot  # noqa: E402
from scheduling.models import (  # noqa: E402  # noqa: E402
    Attempt,
    Job,
    JobStatus,
    Pause,
    Run,
    ScheduleEpoch,
    SkippedTicks,
    WorkerProcess,
)
from scheduling.recurrence import Interval  # noqa: E402
from scheduling.states import RunState, SkipReason, Trigger  # noqa: E402

NOW = datetime.now(tz=UTC)
PASSWORD = "a long pass phrase"  # noqa: S105 of a database that lives as long as a test


def fill() -> None:
    """Make the operator and the board."""
    get_user_model().objects.create_superuser("operator", "", PASSWORD)
    worker = WorkerProcess.objects.create(
        scope=settings.SCHEDULER_SCOPE,
        hostname="worker-1@ops",
        pid=1,
        pool="prefork",
        concurrency=2,
        can_stop=True,
        started_at=NOW,
    )
    pipeline = _job("pipeline", seconds=15, due_in=14)
    heartbeat = _job("broker_heartbeat", seconds=10, due_in=4)
    dashboard = _job("dashboard_update", seconds=10, due_in=6)
    backup = _job("backup_maintenance", seconds=60, due_in=3_000)
    _past_runs(pipeline, worker, seconds=15, took=0.08, failed_at={7})
    _past_runs(heartbeat, worker, seconds=10, took=0.012)
    _past_runs(dashboard, worker, seconds=10, took=0.06, count=12)
    _past_runs(backup, worker, seconds=60, took=1.9, failed_at={0, 1, 2})
    JobStatus.objects.create(
        job=backup,
        consecutive_errors=3,
        tripped_at=NOW,
        last_status="failed",
        last_error="BackupError: no space left on device",
    )
    Pause.objects.create(job=dashboard, paused_by="operator", reason="Upgrade", from_at=NOW)
    SkippedTicks.objects.create(
        job=dashboard,
        epoch=dashboard.epochs.get(),
        reason=SkipReason.PAUSED,
        after=NOW - timedelta(seconds=60),
        until=NOW,
        count=6,
    )
    update_snapshot()


def insert_run() -> None:
    """Insert a run of the pipeline that is running now."""
    run = _run(Job.objects.get(job_id="pipeline"), state=RunState.RUNNING, started_at=NOW)
    run.trigger = Trigger.MANUAL
    run.save(force_insert=True)
    sys.stdout.write(f"{run.pk}\n")


def _job(job_id: str, *, seconds: int, due_in: float) -> Job:
    job = Job.objects.create(
        scope=settings.SCHEDULER_SCOPE,
        job_id=job_id,
        task=f"scheduling.tasks.{job_id}",
        queue="real.standing",
        next_due_at=NOW + timedelta(seconds=due_in),
        planned_until=NOW,
    )
    rule = Interval(anchor=NOW, every=timedelta(seconds=seconds))
    ScheduleEpoch.objects.create(
        job=job, kind=rule.kind, spec=rule.spec(), from_at=NOW - timedelta(days=1)
    )
    return job


def _past_runs(
    job: Job,
    worker: WorkerProcess,
    *,
    seconds: int,
    took: float,
    count: int = 30,
    failed_at: Collection[int] = (),
) -> None:
    for back in range(count, 0, -1):
        tick = NOW - timedelta(seconds=seconds * back)
        failed = back - 1 in failed_at
        run = _run(job, state=RunState.FAILED if failed else RunState.DONE, started_at=tick)
        run.scheduled_for = tick
        run.finished_at = tick + timedelta(seconds=took * (1 + back % 5 / 10))
        run.worker = worker
        if failed:
            run.error_code, run.error = "BackupError", "no space left on device: free some"
        else:
            run.result = {"rows": 8, "decision": "carry_on"}
        run.save()
        Attempt.objects.create(
            id=uuid7(),
            run=run,
            number=1,
            worker=worker,
            started_at=tick,
            finished_at=run.finished_at,
            outcome=run.state,
            error=run.error,
            error_code=run.error_code,
        )


def _run(job: Job, *, state: RunState, started_at: datetime) -> Run:
    return Run(
        scope=job.scope,
        job=job,
        epoch=job.epochs.get(),
        trigger=Trigger.SCHEDULER,
        task=job.task,
        queue=job.queue,
        timeout=job.timeout,
        state=state,
        attempt=1,
        attempt_id=uuid7(),
        created_at=started_at,
        ready_at=started_at,
        queued_at=started_at,
        started_at=started_at + timedelta(milliseconds=12),
    )


if __name__ == "__main__":
    {"fill": fill, "run": insert_run}[sys.argv[1]]()
