"""What the API sends and takes of an office's work; names are those of seed 004."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Field, Schema
from pydantic import BaseModel

from scheduling.actions.offices.work import LARGEST_PRIORITY, LONGEST_ROLE, MOST_RUNS, Work
from scheduling.api.office_shapes import A_MILLISECOND, Milliseconds, Text
from scheduling.api.shapes import WHOLE, Asked, Count
from scheduling.logs import TYPED, configured_redactor
from scheduling.models import Attempt, Run
from scheduling.states import RunState
from scheduling.storable import storable

MOST_WAITS = 10_000  # of one run
MOST_RUNS_LISTED = 1_000
LARGEST_LISTED = 1_024  # bytes of the params of a run in a list

Priority = Annotated[int, Field(ge=-LARGEST_PRIORITY, le=LARGEST_PRIORITY, strict=True), WHOLE]


class WorkIn(BaseModel, extra="forbid"):
    """One run to be: `depends_on` names ids of this request, or earlier runs of the office."""

    # Not ninja's Schema: it reads each as if it might be a model, at twice the time.

    id: Text
    task: Text
    params: dict[str, Any] = Field(default_factory=dict)
    depends_on: Annotated[list[Text], Field(max_length=MOST_WAITS)] = Field(default_factory=list)
    priority: Priority = 0
    role: Annotated[str, Field(max_length=LONGEST_ROLE)] = ""
    assignee: Text = ""
    queue: Text = ""
    timeout_ms: Milliseconds | None = None
    max_retries: Count | None = None

    def work(self) -> Work:
        """Return it as the action takes it."""
        timeout = None if self.timeout_ms is None else self.timeout_ms * A_MILLISECOND
        return Work(
            key=self.id,
            task=self.task,
            params=self.params,
            depends_on=self.depends_on,
            priority=self.priority,
            role=self.role,
            assignee=self.assignee,
            queue=self.queue,
            timeout=timeout,
            max_retries=self.max_retries,
        )


class WorksIn(Schema, extra="forbid"):
    """A batch of work, taken whole or not at all."""

    jobs: Annotated[list[WorkIn], Field(min_length=1, max_length=MOST_RUNS)]


class SubmissionOut(Schema):
    """What became of a batch: the run of each id, and the groups that can run side by side."""

    submission_id: str
    jobs: dict[str, str]
    execution_order: list[list[str]]


class AttemptOut(Schema):
    """One try of a run."""

    attempt: int
    started_at: datetime
    finished_at: datetime | None
    status: str
    error: str
    error_code: str

    @classmethod
    def of(cls, attempt: Attempt) -> "AttemptOut":
        """Read an attempt; one that has not ended is running."""
        return cls(
            attempt=attempt.number,
            started_at=attempt.started_at,
            finished_at=attempt.finished_at,
            status=attempt.outcome or "running",
            error=attempt.error,
            error_code=attempt.error_code,
        )


class OfficeRunOut(Schema):
    """A run of an office."""

    run_id: str
    id: str
    submission_id: str | None
    job_id: str | None
    task: str
    params: dict[str, Any]
    role: str
    assignee: str
    priority: int
    status: str
    reason: str
    waits_for: int
    retry_count: int
    max_retries: int | None
    timeout_ms: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    timeout_at: datetime | None
    cancelled_at: datetime | None
    error: str
    error_code: str

    @classmethod
    def fields_of(cls, run: Run, *, whole: bool = False) -> dict[str, Any]:
        """Read a run; of large params a list tells only how large they are."""
        cancelled = run.finished_at if run.state == "cancelled" else None
        milliseconds = None if run.timeout is None else run.timeout // A_MILLISECOND
        return {
            "run_id": str(run.pk),
            "id": run.name,
            "submission_id": str(run.submission_id) if run.submission_id else None,
            "job_id": run.job.job_id if run.job else None,
            "task": run.task,
            "params": _params_of(run, whole=whole),
            "role": run.role,
            "assignee": run.assignee,
            "priority": run.priority,
            "status": run.state,
            "reason": run.reason,
            "waits_for": run.unmet,
            "retry_count": _retries_of(run),
            "max_retries": run.max_retries,
            "timeout_ms": milliseconds,
            "created_at": run.created_at,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "timeout_at": run.deadline_at,
            "cancelled_at": cancelled,
            "error": run.error,
            "error_code": run.error_code,
        }


def _params_of(run: Run, *, whole: bool) -> dict[str, Any]:
    """Return them redacted, which takes a while for each: a list may hold a thousand."""
    size = 0 if whole else len(json.dumps(run.params))
    if size > LARGEST_LISTED:
        return {"too_large_bytes": size, "limit_bytes": LARGEST_LISTED}
    return dict(configured_redactor().value(run.params, typed=TYPED))


def _retries_of(run: Run) -> int:
    """Return how often it was tried again; the failure that ended it was the last."""
    ended_by_failure = run.state in {RunState.FAILED, RunState.TIMEOUT} and (
        run.reason == run.error_code
    )
    return max(0, run.retry_count - ended_by_failure)


class OfficeRunDetail(OfficeRunOut):
    """A run with its attempts, oldest first, and the runs that it depends on."""

    depends_on: list[str]
    attempts: list[AttemptOut]

    @classmethod
    def of(cls, run: Run, depends_on: Iterable[str]) -> "OfficeRunDetail":
        """Read a run with what hangs on it."""
        attempts = [AttemptOut.of(attempt) for attempt in run.attempts.order_by("number")]
        return cls(**cls.fields_of(run, whole=True), depends_on=list(depends_on), attempts=attempts)


class PriorityIn(Schema, extra="forbid"):
    """Lower runs first."""

    priority: Priority


class DeadlineIn(Schema, extra="forbid"):
    """How much longer it may run."""

    extend_ms: Milliseconds


class HandOverIn(Schema, extra="forbid"):
    """Who the work is for from now on."""

    role: Annotated[str, Field(max_length=64)] | None = None
    assignee: Text | None = None


class CancelFilter(Asked):
    """What to cancel."""

    submission_id: UUID | None = None


class CancelledOut(Schema):
    """How many runs were cancelled, or told to stop."""

    cancelled: int


class RunFilter(Asked):
    """Which runs to list."""

    status: RunState | None = None
    role: Annotated[str, Field(max_length=64)] | None = None
    submission_id: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_RUNS_LISTED)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0

    def conditions(self) -> dict[str, Any]:
        """Return what is asked for, by the names of the run's fields."""
        role = None if self.role is None else storable(self.role)
        asked = {"state": self.status, "role": role, "submission_id": self.submission_id}
        return {name: value for name, value in asked.items() if value is not None}
