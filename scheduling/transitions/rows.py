"""What every transition does: lock in order, look, take one step, tell what happened."""

from collections.abc import Collection, Iterable
from datetime import datetime
from uuid import UUID

from scheduling.bulk import insert_rows
from scheduling.errors import IllegalTransition
from scheduling.fence import Fence
from scheduling.models import Run, RunEvent
from scheduling.models.event import EventKind
from scheduling.states import TRANSITIONS, RunState

# What the transitions look at; a run says much more, and much of that is JSON to be read.
LOOKED_AT = (
    "id", "scope", "job_id", "state", "reason", "attempt", "attempt_id", "worker_id",
    "timeout", "expires_at", "ready_at", "published_at", "started_at", "deadline_at", "finished_at",
    "max_retries", "retry_base", "retry_cap", "retry_backoff", "retry_jitter", "retry_count",
    "reporting", "lost_count", "non_retryable_codes", "error", "error_code", "next_attempt_at",
    "unmet", "name", "office_id", "submission_id",
)  # fmt: skip


def locked(run_ids: Collection[UUID], states: set[RunState]) -> list[Run]:
    """Lock first, in id order, then look: what is selected is what was won."""
    runs = Run.objects.select_for_update().filter(id__in=run_ids, state__in=states)
    return list(runs.only(*LOOKED_AT).order_by("id"))


def locked_by_fence(fences: Iterable[Fence], *states: RunState) -> list[Run]:
    """Lock the runs that still are in one of the states, at the attempt that the fences name."""
    expected = {fence.run_id: fence.attempt for fence in fences}
    return [run for run in locked(expected, set(states)) if run.attempt == expected[run.id]]


def move(run: Run, state: RunState) -> None:
    """Take one step of the state machine; a step that it does not know is a defect of ours."""
    if state not in TRANSITIONS[RunState(run.state)]:
        raise IllegalTransition(run.state, state)
    run.state = state


def tell(runs: list[Run], kind: EventKind, now: datetime) -> None:
    """Write one event a run; the sequencer numbers it after the commit."""
    insert_rows(
        [
            RunEvent(scope=run.scope, kind=kind, run_id=run.pk, attempt=run.attempt, at=now)
            for run in runs
        ]
    )
