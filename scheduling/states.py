"""The states of a run, the ways between them, and why a planned tick may end without a run.

`docs/state_machine.md` draws them and says when each way is taken. `queued`, `running` and
`stopping` hold a slot.
"""

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands; only `scheduling.transitions` writes it."""

    PENDING = "pending"
    READY = "ready"
    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class SkipReason(StrEnum):
    """Why a planned tick ended without running (SPEC A3)."""

    PAUSED = "paused"
    OVERLAP = "overlap"
    MISSED = "missed"
    EXPIRED = "expired"
    BREAKER_OPEN = "breaker_open"
    COALESCED = "coalesced"
    ALREADY_DONE = "already_done"
    DEPENDENCY_DOWN = "dependency_down"


class Trigger(StrEnum):
    """What made a run (`trigger_source` in messages and logs)."""

    SCHEDULER = "scheduler"
    MANUAL = "manual"
    RETRY = "retry"
    STARTUP = "startup"


class Outcome(StrEnum):
    """How one attempt ended.

    `lost`: its worker vanished, or its process died; `released`: its worker was stopped.
    """

    DONE = "done"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LOST = "lost"
    RELEASED = "released"


WAITING = frozenset({RunState.PENDING, RunState.READY})
HOLDING_SLOT = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.STOPPING})
OPEN = WAITING | HOLDING_SLOT
RAN = frozenset({RunState.DONE, RunState.FAILED, RunState.TIMEOUT, RunState.CANCELLED})
FINAL = RAN | {RunState.SKIPPED}

TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.PENDING: frozenset({RunState.READY, RunState.SKIPPED, RunState.CANCELLED}),
    RunState.READY: frozenset({RunState.QUEUED, RunState.SKIPPED, RunState.CANCELLED}),
    RunState.QUEUED: frozenset(
        {
            *(RunState.RUNNING, RunState.SKIPPED, RunState.CANCELLED, RunState.FAILED),
            RunState.DONE,  # handed over to a worker that knows no ledger
        }
    ),
    RunState.RUNNING: frozenset(
        {
            *(RunState.DONE, RunState.FAILED, RunState.TIMEOUT, RunState.STOPPING),
            *(RunState.PENDING, RunState.READY),
        }
    ),
    RunState.STOPPING: frozenset({RunState.TIMEOUT, RunState.CANCELLED, RunState.PENDING}),
    # An operator's retry re-opens a run that ended (SPEC A19).
    RunState.DONE: frozenset({RunState.PENDING}),
    RunState.FAILED: frozenset({RunState.PENDING}),
    RunState.TIMEOUT: frozenset({RunState.PENDING}),
    RunState.CANCELLED: frozenset({RunState.PENDING}),
    RunState.SKIPPED: frozenset(),
}
