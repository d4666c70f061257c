"""Jobs in queue mode for tests, and what beats and workers do with their links."""

from datetime import datetime, timedelta
from typing import Any

from scheduling.actions.create_job import NewJob, create_job
from scheduling.clock import database_now
from scheduling.ending import Ending
from scheduling.engine.chains.chain import follow
from scheduling.engine.chains.due_links import due_chains, tend_chains
from scheduling.engine.schedules import Schedule
from scheduling.models import Job, Run, WorkerProcess
from scheduling.models.job import RescheduleMode
from scheduling.recurrence import Crontab
from scheduling.states import Outcome
from scheduling.transitions import finish, start
from tests.claims import claim_all
from tests.conftest import OPERATOR

MINUTE = timedelta(minutes=1)
WEEKDAYS_AT_NINE = Crontab("0", "9", "1-5")


def make_chain(
    job_id: str = "chain",
    *,
    delay: timedelta | None = MINUTE,
    cron: Crontab | None = None,
    **given: Any,
) -> Job:
    """Create a job in queue mode; its first link waits."""
    values = {"scope": "real", "task": "tests.task", **given}
    new = NewJob(
        job_id=job_id,
        schedule=Schedule(recurrence=cron) if cron else None,
        reschedule_mode=RescheduleMode.QUEUE,
        next_delay=delay,
        **values,
    )
    return create_job(new, OPERATOR)


def newest_link(job: Job) -> Run:
    return Run.objects.filter(job=job, scheduled_for__isnull=False).latest("scheduled_for")


def due(link: Run) -> datetime:
    assert link.scheduled_for is not None
    return link.scheduled_for


def tend(*, now: datetime) -> list[Run]:
    """Do what a turn of the beat does for chains."""
    chains = due_chains("real", now=now)
    return tend_chains(chains, now=now) if chains else []


def a_worker() -> WorkerProcess:
    return WorkerProcess.objects.create(
        scope="real", hostname="w", pid=1, pool="prefork", concurrency=1, can_stop=True,
        started_at=database_now(),
    )  # fmt: skip


def start_due(*, now: datetime) -> list[Run]:
    """Bring what is due to a worker that starts it."""
    tend(now=now)
    claimed = claim_all(now=now)
    worker = WorkerProcess.objects.first() or a_worker()
    start([run.fence for run in claimed], worker_id=worker.pk, now=now)
    return list(Run.objects.filter(pk__in=[run.pk for run in claimed]))


def end(run: Run, *, now: datetime, outcome: Outcome = Outcome.DONE) -> list[Run]:
    """Do what a worker does at the end of a link; return the links that it plans."""
    finish([Ending(fence=run.fence, outcome=outcome)], now=now)
    return follow([run.job_id or 0], now=now)
