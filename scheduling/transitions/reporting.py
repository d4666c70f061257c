"""Runs of foreign workers, that tell of them by the API (SPEC A18).

Where only the end is told, the one message is published once. Until a report comes the run is
`queued`, in a worker's hands or in nobody's; where the start was is not known, so the attempt
begins with its message. Where all is told, a run starts and ends like any other, but for its
worker: whether that is alive, its renewals of the lease say.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import F
from uuid_utils.compat import uuid7

from scheduling.bulk import insert_rows, update_rows
from scheduling.ending import Ending
from scheduling.fence import Fence
from scheduling.models import Attempt, Run
from scheduling.models.job import Reporting
from scheduling.states import Outcome, RunState
from scheduling.transitions.finishing import conclude
from scheduling.transitions.rows import locked, move

NO_REPORT = "no_report"


def end_reported(endings: Collection[Ending], *, now: datetime) -> list[Run]:
    """Record what foreign workers told of attempts that are out of hand; return those it ended."""
    by_fence = {ending.fence: ending for ending in endings}
    with transaction.atomic():
        met = locked([fence.run_id for fence in by_fence], {RunState.QUEUED})
        return _end(
            [run for run in met if run.is_out_of_hand and run.fence in by_fence], by_fence, now
        )


def give_up_unreported(run_ids: Collection[UUID], *, now: datetime) -> list[Run]:
    """End what nobody has reported in time: its message is not sent again, and so no retry."""
    with transaction.atomic():
        met = locked(run_ids, {RunState.QUEUED})
        silent = [run for run in met if run.is_out_of_hand and _is_over(run, now)]
        return _end(silent, {run.fence: _silence_of(run) for run in silent}, now)


def renew_lease(fence: Fence) -> Run | None:
    """Note a sign of life of the foreign worker; None if the attempt is no longer his."""
    run = Run.objects.open(RunState.RUNNING, RunState.STOPPING).filter(pk=fence.run_id).first()
    if run is None or run.attempt != fence.attempt or run.reporting != Reporting.FULL:
        return None
    Attempt.objects.filter(run=run, number=run.attempt).update(renewals=F("renewals") + 1)
    return run


def report_due(run: Run, sent_at: datetime) -> datetime | None:
    """Return until when the report of a message sent then is waited for: SPEC A18's deadline."""
    if run.timeout is None:
        return None
    return max(run.expires_at or sent_at, sent_at) + run.timeout


def _is_over(run: Run, now: datetime) -> bool:
    return run.deadline_at is not None and run.deadline_at <= now


def _silence_of(run: Run) -> Ending:
    return Ending(
        fence=run.fence,
        outcome=Outcome.TIMEOUT,
        error=f"no worker reported its end by {run.deadline_at:%Y-%m-%d %H:%M:%S} UTC",
        error_code=NO_REPORT,
        retryable=False,
    )


def _end(runs: Sequence[Run], endings: Mapping[Fence, Ending], now: datetime) -> list[Run]:
    """Begin and end the attempts in one: there is no run without an attempt."""
    for run in runs:
        move(run, RunState.RUNNING)
        run.started_at = run.published_at
    update_rows(runs, ["started_at"])
    insert_rows(
        [
            Attempt(
                id=run.attempt_id or uuid7(),
                run_id=run.pk,
                number=run.attempt,
                started_at=run.published_at or now,
            )
            for run in runs
        ]
    )
    conclude(runs, {run.pk: endings[run.fence] for run in runs}, now)
    return list(runs)
