"""Attempts end: with a verdict, with a wait for the next attempt, or back uncharged.

`finish` takes what workers report, `lose` what nobody will report, `end_stopping` what was told to
stop, `release` what a stopped worker left undone. What an ending makes of a run is in `outcome`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from scheduling.bulk import update_rows
from scheduling.ending import Ending
from scheduling.fence import Fence
from scheduling.models import Attempt, Run
from scheduling.models.event import EventKind
from scheduling.states import Outcome, RunState
from scheduling.transitions.job_status import note_on_jobs
from scheduling.transitions.noticing import leave_notices
from scheduling.transitions.outcome import apply_ending, ending_of_stop, loss_of
from scheduling.transitions.rows import locked_by_fence, move, tell

ENDED_FIELDS = [
    "state", "reason", "result", "error", "error_code", "retry_count", "lost_count",
    "next_attempt_at", "deadline_at", "finished_at",
]  # fmt: skip

EVENT_OF_STATE = {
    RunState.PENDING: EventKind.RETRYING,
    RunState.DONE: EventKind.COMPLETED,
    RunState.FAILED: EventKind.FAILED,
    RunState.TIMEOUT: EventKind.TIMEOUT,
    RunState.CANCELLED: EventKind.CANCELLED,
}


def finish(endings: Collection[Ending], *, now: datetime) -> set[Fence]:
    """Record how attempts ended; one that was told to stop ends as that, whatever is reported."""
    by_fence = {ending.fence: ending for ending in endings}
    with transaction.atomic():
        won = locked_by_fence(by_fence, RunState.RUNNING, RunState.STOPPING)
        stops = _stops_of(won)
        reports = {run.id: by_fence[run.fence] for run in won}
        return conclude(won, {**reports, **stops}, now, gone=set(stops))


def lose(fences: Collection[Fence], *, now: datetime) -> set[Fence]:
    """Take runs from a worker that vanished: another attempt, or failed."""
    with transaction.atomic():
        won = locked_by_fence(fences, RunState.RUNNING)
        return conclude(won, {run.id: loss_of(run) for run in won}, now)


def end_stopping(fences: Collection[Fence], *, now: datetime, seen_gone: bool) -> set[Fence]:
    """End what was told to stop: its worker saw it gone, or has been silent for too long."""
    with transaction.atomic():
        won = locked_by_fence(fences, RunState.STOPPING)
        stops = _stops_of(won)
        return conclude(won, stops, now, gone=set(stops) if seen_gone else set())


def release(
    fences: Collection[Fence], *, now: datetime, reason: str = "worker_stopped"
) -> set[Fence]:
    """Give back, uncharged, what a stopped or busy worker left undone (SPEC A17)."""
    with transaction.atomic():
        won = locked_by_fence(fences, RunState.RUNNING)
        for run in won:
            move(run, RunState.READY)
            run.reason, run.deadline_at = reason, None
        update_rows(won, ["state", "reason", "deadline_at"])
        Attempt.objects.filter(id__in=[run.attempt_id for run in won]).update(
            finished_at=now, outcome=Outcome.RELEASED
        )
        return {run.fence for run in won}


def _stops_of(runs: Collection[Run]) -> dict[UUID, Ending]:
    """Return the ending of each run that was told to stop."""
    stopping = {
        run.attempt_id: run
        for run in runs
        if run.state == RunState.STOPPING and run.attempt_id is not None
    }
    if not stopping:
        return {}
    told = Attempt.objects.filter(id__in=stopping).values_list("id", "stop_for")
    return {
        stopping[attempt_id].id: ending_of_stop(stopping[attempt_id], Outcome(stop_for))
        for attempt_id, stop_for in told
    }


def conclude(
    runs: Sequence[Run],
    reports: Mapping[UUID, Ending],
    now: datetime,
    *,
    gone: Collection[UUID] = frozenset(),
) -> set[Fence]:
    """Write what these endings make of locked runs and of their attempts; tell and note it."""
    for run in runs:
        apply_ending(run, reports[run.id], now)
    update_rows(runs, ENDED_FIELDS)
    _end_attempts(runs, reports, now, gone)
    for state, kind in EVENT_OF_STATE.items():
        tell([run for run in runs if run.state == state], kind, now)
    leave_notices(runs, now)
    note_on_jobs(runs, reports, now)
    return {run.fence for run in runs}


def _end_attempts(
    runs: Sequence[Run], reports: Mapping[UUID, Ending], now: datetime, gone: Collection[UUID]
) -> None:
    attempts = [
        Attempt(
            id=run.attempt_id,
            finished_at=now,
            outcome=reports[run.id].outcome,
            error=reports[run.id].error,
            error_code=reports[run.id].error_code,
            gone_at=now if run.id in gone else None,
        )
        for run in runs
        if run.attempt_id is not None
    ]
    update_rows(attempts, ["finished_at", "outcome", "error", "error_code", "gone_at"])
