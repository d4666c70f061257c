"""Keeps how a job stands, told by its attempts: the last status, and failures in a row.

Where those trip its breaker, the log says so once, behind the commit (SPEC A13). Called within a
transition's transaction, after the runs are locked.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from scheduling.bulk import update_rows
from scheduling.ending import Ending
from scheduling.models import JobStatus, Run
from scheduling.states import Outcome

logger = logging.getLogger(__name__)


def note_on_jobs(runs: Sequence[Run], reports: Mapping[UUID, Ending], now: datetime) -> None:
    """Keep each job's last status and its row of failed attempts, for the breaker (SPEC A13)."""
    by_job: dict[int, list[Run]] = {}
    for run in runs:
        if run.job_id is not None:
            by_job.setdefault(run.job_id, []).append(run)
    rows = (
        JobStatus.objects.select_for_update(of=("self",))
        .filter(job_id__in=by_job)
        .annotate(
            limit=F("job__max_consecutive_errors"), name=F("job__job_id"), scope=F("job__scope")
        )
        .order_by("job_id")
    )
    statuses = list(rows)
    for status in statuses:
        for run in by_job[status.job_id]:
            _note_attempt(status, run, reports[run.id], now)
    update_rows(
        statuses, ["last_run_at", "last_status", "last_error", "consecutive_errors", "tripped_at"]
    )


def _note_attempt(status: Any, run: Run, ending: Ending, now: datetime) -> None:
    status.last_run_at = run.started_at or status.last_run_at
    status.last_status = run.state if run.finished_at else "retrying"
    status.last_error = run.error
    if ending.outcome is Outcome.DONE:
        status.consecutive_errors, status.tripped_at = 0, None
    elif ending.counts_against_job:
        status.consecutive_errors += 1
        if status.consecutive_errors >= status.limit:
            _trip(status, now)


def _trip(status: Any, now: datetime) -> None:
    """Open the breaker; a failed trial opens it again, of which nobody is told a second time."""
    if status.tripped_at is None:
        told = {"job_id": status.name, "scope": status.scope, "errors": status.consecutive_errors}
        transaction.on_commit(partial(logger.warning, "breaker_tripped", extra=told))
    status.tripped_at = now
