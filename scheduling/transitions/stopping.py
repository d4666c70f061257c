"""Runs are told to stop: what waits ends at once, what runs is `stopping` until it is gone."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction

from scheduling.bulk import update_rows
from scheduling.fence import Fence
from scheduling.models import Attempt, Run
from scheduling.models.event import EventKind
from scheduling.states import Outcome, RunState
from scheduling.transitions.rows import locked, locked_by_fence, move, tell

UNSTARTED = (RunState.PENDING, RunState.READY, RunState.QUEUED)


def cancel(run_ids: Collection[UUID], *, reason: str, now: datetime) -> list[Run]:
    """Cancel open runs; return those that it still met, each in its new state."""
    with transaction.atomic():
        met = locked(run_ids, {*UNSTARTED, RunState.RUNNING, RunState.STOPPING})
        waiting = [run for run in met if run.state in UNSTARTED]
        running = [run for run in met if run.state == RunState.RUNNING]
        late = _told_for_their_deadline([run for run in met if run.state == RunState.STOPPING])
        for run in waiting:
            move(run, RunState.CANCELLED)
            run.reason, run.finished_at, run.next_attempt_at = reason, now, None
        update_rows(waiting, ["state", "reason", "finished_at", "next_attempt_at"])
        tell(waiting, EventKind.CANCELLED, now)
        _tell_to_stop(running, Outcome.CANCELLED, reason=reason, now=now)
        _stop_for_good(late, reason=reason)
    return [*waiting, *running, *late]


def time_out(fences: Collection[Fence], *, now: datetime) -> int:
    """Tell the attempts that are past their deadline to stop; return how many."""
    with transaction.atomic():
        won = locked_by_fence(fences, RunState.RUNNING)
        late = [run for run in won if run.deadline_at is not None and run.deadline_at <= now]
        _tell_to_stop(late, Outcome.TIMEOUT, reason="deadline", now=now)
    return len(late)


LATEST = datetime(9000, 1, 1, tzinfo=UTC)  # that rows and clients hold


def extend_deadline(run_id: UUID, *, by: timedelta) -> Run | None:
    """Give a running attempt more time; None where it does not run, or has no deadline."""
    with transaction.atomic():
        (run,) = locked([run_id], {RunState.RUNNING}) or (None,)
        if run is None or run.deadline_at is None:
            return None
        run.deadline_at = min(run.deadline_at, LATEST - by) + by
        update_rows([run], ["deadline_at"])
    return run


def note_stop_delivered(fences: Collection[Fence], *, now: datetime) -> None:
    """Remember when the worker signalled the processes of these attempts."""
    numbers = {fence.run_id: fence.attempt for fence in fences}
    attempts = Attempt.objects.filter(run_id__in=numbers, stop_delivered_at=None)
    told = [a.pk for a in attempts if a.number == numbers[a.run_id]]
    Attempt.objects.filter(pk__in=told).update(stop_delivered_at=now)


def _told_for_their_deadline(stopping: list[Run]) -> list[Run]:
    """Those of them that another attempt may follow, as none follows a cancellation."""
    attempts = Attempt.objects.filter(
        id__in=[run.attempt_id for run in stopping], stop_for=Outcome.TIMEOUT
    )
    late = set(attempts.values_list("id", flat=True))
    return [run for run in stopping if run.attempt_id in late]


def _stop_for_good(late: list[Run], *, reason: str) -> None:
    """They are told to stop already, and now end as cancelled when they are gone."""
    for run in late:
        run.reason = reason
    update_rows(late, ["reason"])
    Attempt.objects.filter(id__in=[run.attempt_id for run in late]).update(
        stop_for=Outcome.CANCELLED
    )


def _tell_to_stop(runs: list[Run], outcome: Outcome, *, reason: str, now: datetime) -> None:
    for run in runs:
        move(run, RunState.STOPPING)
        run.reason = reason
    update_rows(runs, ["state", "reason"])
    Attempt.objects.filter(id__in=[run.attempt_id for run in runs]).update(
        stop_for=outcome, stop_requested_at=now
    )
