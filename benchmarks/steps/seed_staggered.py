"""Writes jobs whose ticks are spread evenly, for a system that has next to nothing to do."""

from datetime import UTC, datetime, timedelta

from benchmarks.apps import OUR_QUEUE, STAMP
from scheduling.actions.audit import Operator
from scheduling.actions.create_job import NewJob, create_job
from scheduling.engine.schedules import Schedule
from scheduling.recurrence import Interval


def run(jobs: int, every_seconds: float, path: str) -> None:
    """Write jobs that each run every so many seconds, one after the other, and stamp a file."""
    start = datetime.now(UTC)
    for number in range(jobs):
        anchor = start + timedelta(seconds=every_seconds * number / jobs)
        recurrence = Interval(anchor, timedelta(seconds=every_seconds))
        job = NewJob(
            scope="real",
            job_id=f"bench-{number}",
            task=STAMP,
            queue=OUR_QUEUE,
            params={"path": path},
            schedule=Schedule(recurrence=recurrence),
        )
        create_job(job, Operator(actor="benchmarks", door="command"))
