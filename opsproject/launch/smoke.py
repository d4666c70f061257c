"""`up --smoke`: every standing job does its work once, or we say which one did not and why."""

import threading
import time
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from opsproject.launch.errors import SmokeError
from opsproject.launch.supervision import Supervisor
from scheduling.models import Run
from scheduling.models.run import RunQuerySet
from scheduling.states import RunState
from scheduling.table import table

LIMIT_SECONDS = 90.0
POLL_SECONDS = 0.5
HEADINGS = ("job", "scheduled for (UTC)", "state", "reason", "attempt", "started", "finished")


def wait_for_good_runs(
    since: datetime, *, stop: threading.Event, supervisor: Supervisor
) -> frozenset[str]:
    """Wait for a `done` run of each standing job made since; return the jobs that have none.

    Ends early when told to stop.
    """
    limit = time.monotonic() + LIMIT_SECONDS
    waiting = frozenset(settings.OPS_TARGETS)
    while waiting and time.monotonic() < limit and not stop.wait(POLL_SECONDS):
        supervisor.require_running()
        waiting -= _done_jobs(since)
    return waiting


def ledger_table(since: datetime) -> str:
    """Return the runs of the standing jobs made since, one a line."""
    runs = _ledger(since).order_by("created_at", "id")
    return table(HEADINGS, [_row(run) for run in runs])


def require_none_missing(missing: frozenset[str]) -> None:
    """Raise SmokeError naming the jobs without a good run, and how their newest run stands."""
    if missing:
        raise SmokeError(f"no done run of {'; '.join(map(_last_word, sorted(missing)))}")


def _ledger(since: datetime) -> RunQuerySet:
    """Return the runs of the standing jobs that were made since."""
    runs: RunQuerySet = Run.objects.filter(created_at__gte=since).select_related("job")
    return runs.filter(job__scope=settings.SCHEDULER_SCOPE, job__job_id__in=settings.OPS_TARGETS)


def _done_jobs(since: datetime) -> set[str]:
    done = _ledger(since).filter(state=RunState.DONE, finished_at__gte=since)
    return set(done.values_list("job__job_id", flat=True))


def _last_word(job_id: str) -> str:
    """Say how the job's newest run stands."""
    runs = Run.objects.filter(job__scope=settings.SCHEDULER_SCOPE, job__job_id=job_id)
    run = runs.order_by("-created_at").first()
    if run is None:
        return f"{job_id} (no tick was planned: see the lines of beat)"
    detail = (run.error or run.reason or "see the lines of worker").strip().splitlines()[-1]
    return f"{job_id} (last run is {run.state}: {detail})"


def _row(run: Run) -> tuple[str | int, ...]:
    job = run.job.job_id if run.job else run.task
    moments = (_clock(run.started_at), _clock(run.finished_at))
    return (job, _clock(run.scheduled_for), run.state, run.reason, run.attempt, *moments)


def _clock(moment: datetime | None) -> str:
    return timezone.localtime(moment).strftime("%H:%M:%S.%f")[:-3] if moment else "-"
