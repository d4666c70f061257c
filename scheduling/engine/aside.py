"""Sets aside what cannot be read or dealt with: it says why, and stands in nobody's way.

A job falls due no more until it is corrected; a run ends as failed, `unreadable`. Logged once.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import TypeVar
from uuid import UUID

from scheduling.columns import unreadable_columns
from scheduling.engine.one_by_one import each_alone, read_rows, together_or_alone
from scheduling.fence import Fence
from scheduling.logs import configured_redactor
from scheduling.models import Job, Run
from scheduling.models.run import RunQuerySet
from scheduling.outage import is_about_values
from scheduling.storable import storable
from scheduling.transitions import fail_unreadable

logger = logging.getLogger(__name__)

Named = TypeVar("Named", UUID, Fence)  # how a transition names a run
Result = TypeVar("Result")


def mark_aside(job: Job, error: Exception) -> None:
    """Say on a locked job why it does not fire; the caller writes it."""
    job.schedule_error, job.next_due_at = _reason(error), None
    logger.error("job_set_aside", extra={"job_id": job.job_id, "scope": job.scope}, exc_info=error)


def set_job_aside(job_id: int, error: Exception) -> None:
    """Say on the job's row, without reading it, why it does not fire."""
    reason = _reason(error, unreadable_columns(Job, job_id))
    known = Job.objects.filter(id=job_id, schedule_error=reason, next_due_at=None)
    if not known.exists():
        Job.objects.filter(id=job_id).update(schedule_error=reason, next_due_at=None)
        logger.error("job_set_aside", extra={"job": job_id}, exc_info=error)


def _reason(error: Exception, unreadable: Sequence[str] = ()) -> str:
    text = str(error)
    if unreadable:
        columns = ", ".join(unreadable)
        text = f"{columns} cannot be read ({text}): put it right with SQL, then save the schedule"
    return configured_redactor().text(storable(text))


def set_run_aside(run: UUID | Fence | Run, error: Exception, *, now: datetime) -> None:
    """End the run, without reading its row; one that is only refused now is left as it is."""
    run_id = run if isinstance(run, UUID) else run.run_id if isinstance(run, Fence) else run.pk
    if not is_about_values(error):
        logger.error("run_refused", extra={"run_id": str(run_id)}, exc_info=error)
    elif fail_unreadable(run_id, error=error, now=now):
        logger.error("run_set_aside", extra={"run_id": str(run_id)}, exc_info=error)


def for_runs(
    runs: Sequence[Named], do: Callable[[Collection[Named]], Result], *, now: datetime
) -> list[Result]:
    """Take the runs through a transition, all of them or each alone; return what came of it."""
    return together_or_alone(runs, do, set_aside=partial(set_run_aside, now=now))


def read_runs(runs: RunQuerySet, *, now: datetime, limit: int | None = None) -> list[Run]:
    """Return the first of the runs, but those that cannot be read."""
    return read_rows(runs, limit=limit, set_aside=partial(set_run_aside, now=now))


def those_that(test: Callable[[Run], bool], runs: Sequence[Run], *, now: datetime) -> list[Run]:
    """Return the runs that pass a test, but those that it fails on."""
    passed = each_alone(
        runs, lambda run: [run] if test(run) else [], set_aside=partial(set_run_aside, now=now)
    )
    return list(chain.from_iterable(passed))
