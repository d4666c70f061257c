"""What foreign workers tell of their runs (SPEC A18).

Whoever reports an end goes on from there as a worker of ours would: with the next link of a chain,
with those that waited for it, with the slot.
"""

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from celery import current_app
from django.db import transaction
from django.db.models import Q

from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.ending import Ending
from scheduling.engine.chains.arrivals import claim_arrived
from scheduling.engine.chains.going_on import go_on
from scheduling.engine.follow_up import follow_up
from scheduling.engine.publishing.publish import Publisher
from scheduling.errors import NotPossible, NotYours
from scheduling.fence import Fence
from scheduling.logs import TYPED, configured_redactor
from scheduling.models import Attempt, Job, JobStatus, Run
from scheduling.models.job import Reporting
from scheduling.models.run import OUT_OF_HAND
from scheduling.redaction import clip
from scheduling.states import Outcome, RunState
from scheduling.storable import encode_result, require_storable, storable, storable_value
from scheduling.transitions import (
    end_reported,
    finish,
    note_stop_delivered,
    renew_lease,
    start_reported,
)

logger = logging.getLogger(__name__)

LONGEST_ERROR = 8_000


@dataclass(frozen=True, kw_only=True)
class Report:
    """How it went; an error counts where it failed."""

    done: bool
    result: Any = None
    error: str = ""
    error_code: str = ""

    def ending(self, fence: Fence) -> Ending:
        """Return it as the end of an attempt, with nothing in it that may not be stored."""
        if self.done:
            told = configured_redactor().value(json.loads(encode_result(self.result)), typed=TYPED)
            return Ending(fence=fence, outcome=Outcome.DONE, result=storable_value(told))
        code = self.error_code or "ReportedFailure"
        return Ending(fence=fence, outcome=Outcome.FAILED, error=self.text(), error_code=code)

    def text(self) -> str:
        """Return what went wrong as it is kept."""
        if self.done:
            return ""
        told = clip(self.error or "its worker reported a failure, and no text", LONGEST_ERROR)
        return storable(configured_redactor().text(told))


def report_last_run(job: Job, report: Report) -> Run | None:
    """Close the job's oldest open run that its worker has; return it.

    Where there is none, only how the job stood last is noted. Raises NotPossible for a job whose
    runs are reported otherwise.
    """
    if not job.is_foreign or job.reporting != Reporting.END_ONLY:
        how = "by JobReporter" if job.is_foreign else f"by the Celery task {job.task}"
        raise NotPossible(f"the runs of job {job.job_id!r} are reported {how}, not by last-run")
    now = database_now()
    out = Run.objects.open(RunState.QUEUED).filter(OUT_OF_HAND, job=job)
    while oldest := out.order_by("published_at", "id").only("attempt").first():
        if ended := end_reported([report.ending(oldest.fence)], now=now):
            _follow(ended[0])
            return ended[0]
    _note_last(job, report, now)
    return None


def start_run(fence: Fence, *, reporter: str) -> Run:
    """Grant a foreign worker the start of an attempt; return the run. Raises NotYours."""
    _require_own(fence)
    require_storable("reporter", reporter)
    now = database_now()
    with transaction.atomic():
        claim_arrived([fence], now=now)
        run = start_reported(fence, reporter=reporter, now=now)
    if run is None:
        raise NotYours(fence)
    return Run.objects.get(pk=run.pk)


def renew_run(fence: Fence) -> Run:
    """Take a sign of life; `stopping` tells the worker to stop. Raises NotYours."""
    _require_own(fence)
    run = renew_lease(fence)
    if run is None:
        raise NotYours(fence)
    if run.state == RunState.STOPPING:
        note_stop_delivered([fence], now=database_now())
    return run


def end_run(fence: Fence, report: Report) -> Run:
    """Record how an attempt ended; one that was told to stop ends as that. Raises NotYours.

    The same end told once more, by a worker whom the answer did not reach, changes nothing.
    """
    _require_own(fence)
    ending = report.ending(fence)
    if not finish([ending], now=database_now()) and not _was_told(ending):
        raise NotYours(fence)
    run = Run.objects.get(pk=fence.run_id)
    _follow(run)
    return run


def _require_own(fence: Fence) -> None:
    """Only what is reported in full, and of this process's scope, may be reported."""
    runs = Run.objects.in_scope(conf.SCHEDULER_SCOPE).filter(reporting=Reporting.FULL)
    if not runs.filter(pk=fence.run_id).exists():
        raise NotYours(fence)


def _was_told(ending: Ending) -> bool:
    attempts = Attempt.objects.filter(run=ending.fence.run_id, number=ending.fence.attempt)
    # One that was told to stop ended as that, whatever was reported.
    stopped = Q(gone_at__isnull=False, outcome__in=(Outcome.CANCELLED, Outcome.TIMEOUT))
    return attempts.filter(Q(outcome=ending.outcome) | stopped).exists()


def _follow(run: Run) -> None:
    """Go on from an end that was just committed; what goes wrong in that a beat does.

    The end counts: an error told to its worker would have him report it again.
    """
    try:
        if run.job is not None and run.job.is_chained:
            go_on(current_app, [run.job.pk])
        follow_up(Publisher(current_app), [run.pk])
    except Exception:
        logger.exception("report_not_followed_up", extra={"run_id": str(run.pk)})


def _note_last(job: Job, report: Report, now: datetime) -> None:
    JobStatus.objects.filter(job=job).update(
        last_run_at=now,
        last_status=RunState.DONE if report.done else RunState.FAILED,
        last_error=report.text(),
    )
