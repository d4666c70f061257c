"""What the API sends and takes."""

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Header, Schema
from pydantic import AwareDatetime, ValidationInfo, model_validator

from scheduling.api.explain_shapes import GateOut
from scheduling.explain.gate import Explanation
from scheduling.logs import TYPED, configured_redactor
from scheduling.models import Job, Run

MOST_JOBS = 1_000


class JobOut(Schema):
    """A job as it stands."""

    job_id: str
    scope: str
    task: str
    queue: str
    params: dict[str, Any]
    description: str
    enabled: bool
    paused: bool
    schedule: str
    timeout_sec: float | None
    next_due_at: datetime | None
    last_run_at: datetime | None
    last_status: str
    last_error: str
    consecutive_errors: int
    blocking: GateOut | None = Field(description="What holds it back first; null while it runs.")

    @classmethod
    def of(cls, job: Job, explained: Explanation) -> "JobOut":
        """Read a job that was selected with its status, its open epoch and its active pause."""
        epoch = next(iter(job.epochs.all()), None)
        return cls(
            job_id=job.job_id,
            scope=job.scope,
            task=job.task,
            queue=job.queue,
            params=configured_redactor().value(job.params, typed=TYPED),
            description=job.description,
            enabled=job.enabled,
            paused=bool(job.pauses.all()),
            schedule=epoch.in_words() if epoch else "",
            timeout_sec=job.timeout.total_seconds() if job.timeout else None,
            next_due_at=job.next_due_at,
            last_run_at=job.status.last_run_at,
            last_status=job.status.last_status,
            last_error=job.status.last_error,
            consecutive_errors=job.status.consecutive_errors,
            blocking=GateOut.of(explained.blocking) if explained.blocking else None,
        )


class Asked(Schema):
    """What the query of an address says; a misspelt name is refused, not passed over."""

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, given: Any, info: ValidationInfo) -> Any:
        """Look at the query itself: ninja hands on only what it knows."""
        request: HttpRequest = (info.context or {})["request"]
        if unknown := sorted(set(request.GET) - set(cls.model_fields)):
            known = ", ".join(sorted(cls.model_fields))
            raise ValueError(f"{', '.join(map(repr, unknown))} is not known here: give {known}")
        return given


class Page(Asked):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=MOST_JOBS)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class RunNow(Schema, extra="forbid"):
    """What a manual run may change."""

    params: dict[str, Any] = Field(default_factory=dict, max_length=100)


class RunOut(Schema):
    """A line of the ledger."""

    run_id: str
    job_id: str
    state: str
    trigger_source: str

    @classmethod
    def of(cls, run: Run, job: Job) -> "RunOut":
        """Read a run of the job."""
        return cls(
            run_id=str(run.id), job_id=job.job_id, state=run.state, trigger_source=run.trigger
        )


class PauseJob(Schema, extra="forbid"):
    """Why, and until when; without an end it is paused until resumed."""

    reason: str = Field(default="", max_length=1_000)
    until: AwareDatetime | None = None


class Problem(Schema):
    """Every error has this shape."""

    code: str
    message: str


REFUSALS = dict.fromkeys((400, 401, 403, 404, 413, 422, 429), Problem)
CONFLICTS = {**REFUSALS, 409: Problem}

IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=100)
]
