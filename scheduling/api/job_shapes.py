"""What the API sends and takes of jobs; names are those of seed 002, seconds count in `_sec`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from ninja import Field, Schema
from pydantic import AwareDatetime, model_validator

from scheduling.api.explain_shapes import GateOut
from scheduling.api.shapes import WHOLE, Limit
from scheduling.api.timing import Timing
from scheduling.explain.gate import Explanation
from scheduling.logs import TYPED, configured_redactor
from scheduling.models import Job, Run
from scheduling.models.job import JOB_ID
from scheduling.models.office import DEFAULT_OFFICE
from scheduling.queues import FOREIGN_TASK

LONGEST_SEC = 100 * 365 * 24 * 3600
LARGEST_PRIORITY = 1_000_000

Seconds = Annotated[float, Field(ge=1, le=LONGEST_SEC, strict=True, allow_inf_nan=False)]
Wait = Annotated[float, Field(ge=0, le=LONGEST_SEC, strict=True, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Flag = Annotated[bool, Field(strict=True)]
Params = Annotated[dict[str, Any], Field(max_length=100)]
Priority = Annotated[int, Field(ge=-LARGEST_PRIORITY, le=LARGEST_PRIORITY, strict=True), WHOLE]

# By what the API calls it, the job's field.
DURATIONS = {
    "timeout_sec": "timeout",
    "expires_after_sec": "expires_after",
    "misfire_grace_sec": "misfire_grace",
    "catch_up_window_sec": "catch_up_window",
    "retry_base_delay_sec": "retry_base",
    "retry_cap_sec": "retry_cap",
    "breaker_cooldown_sec": "breaker_cooldown",
}
SAME_NAME = (
    *("queue", "description", "enabled", "params", "reschedule_mode", "reporting", "priority"),
    *("max_parallel", "overlap", "misfire", "retry_backoff", "retry_jitter"),
    *("non_retryable_codes", "run_on_startup", "max_consecutive_errors"),
)
TIMING = {"cron_expr", "interval_seconds", "timezone", "reschedule_mode"}
SYNONYMS = {"default_params": "params", "retry_limit": "max_attempts"}


class JobFields(Schema, extra="forbid"):
    """What a job does, when and how. Without a `task` its workers are no Celery workers."""

    task: Name | None = None
    queue: Name | None = None
    description: Annotated[str, Field(max_length=10_000)] = ""
    enabled: Flag = True
    office_id: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Whose slots its runs take; null: the default office."
    )
    params: Params = Field(default_factory=dict)
    default_params: Params = Field(default_factory=dict, description="The same as `params`.")
    cron_expr: Annotated[str, Field(max_length=200)] | None = None
    interval_seconds: Seconds | None = None
    timezone: Annotated[str, Field(max_length=64)] | None = None
    reschedule_mode: Literal["scheduler", "queue"] = "scheduler"
    reporting: Literal["end_only", "full"] = "end_only"
    priority: Priority = 0
    max_parallel: Limit = 1
    overlap: Literal["skip", "queue"] = "skip"
    misfire: Literal["skip", "once", "all"] = "once"
    misfire_grace_sec: Wait = 60
    catch_up_window_sec: Wait = 86_400
    expires_after_sec: Seconds | None = None
    timeout_sec: Seconds | None = 1_800
    max_attempts: Limit | None = 3
    retry_limit: Limit | None = Field(default=3, description="The same as `max_attempts`.")
    retry_backoff: Literal["exponential", "linear"] = "exponential"
    retry_base_delay_sec: Wait | None = None
    retry_cap_sec: Wait | None = None
    retry_jitter: Flag = False
    non_retryable_codes: Annotated[list[Name], Field(max_length=100)] = Field(default_factory=list)
    run_on_startup: Flag = False
    max_consecutive_errors: Limit = 3
    breaker_cooldown_sec: Seconds = 300

    @model_validator(mode="after")
    def _synonyms_agree(self) -> Self:
        for other, name in SYNONYMS.items():
            if other not in self.model_fields_set:
                continue
            if name in self.model_fields_set and getattr(self, name) != getattr(self, other):
                raise ValueError(f"{name} and {other} mean the same: give one of them")
            setattr(self, name, getattr(self, other))
        return self

    def fields(self, *, given_only: bool) -> dict[str, Any]:
        """Return what is said of the job's own fields, by their names, but for the schedule."""
        said = self.model_dump(exclude_unset=given_only)
        fields = {name: said[name] for name in SAME_NAME if said.get(name) is not None}
        for name, field in DURATIONS.items():
            if name in said:
                seconds = said[name]
                fields[field] = None if seconds is None else timedelta(seconds=seconds)
        if "task" in said:
            fields["task"] = said["task"] or FOREIGN_TASK
        if "max_attempts" in said:
            attempts = said["max_attempts"]
            fields["max_retries"] = None if attempts is None else attempts - 1
        return fields

    def timing(self, present: Timing) -> Timing:
        """Return the schedule that is asked for; what is not said stays as it is."""
        said = self.model_dump(include=TIMING, exclude_unset=True)
        every = present.every
        if "interval_seconds" in said:
            seconds = said["interval_seconds"]
            every = None if seconds is None else timedelta(seconds=seconds)
        return Timing(
            cron_expr=said.get("cron_expr", present.cron_expr),
            every=every,
            zone=said.get("timezone") or present.zone,
            mode=said.get("reschedule_mode", present.mode),
        )


class JobIn(JobFields):
    """A new job. `scope`, if it is given, has to be this scheduler's."""

    job_id: Annotated[str, Field(pattern=JOB_ID.regex.pattern)]
    scope: str | None = None


class JobDefinition(Schema):
    """What a job does, when and how; nothing of how it stands."""

    job_id: str
    scope: str
    task: str | None
    queue: str
    description: str
    enabled: bool
    office_id: str
    params: dict[str, Any]
    default_params: dict[str, Any]
    cron_expr: str | None
    interval_seconds: float | None
    timezone: str
    reschedule_mode: str
    reporting: str | None = Field(description="Null: its workers are Celery's.")
    priority: int
    max_parallel: int
    overlap: str
    misfire: str
    misfire_grace_sec: float
    catch_up_window_sec: float
    expires_after_sec: float | None
    timeout_sec: float | None
    max_attempts: int | None
    retry_limit: int | None
    retry_backoff: str
    retry_base_delay_sec: float | None
    retry_cap_sec: float | None
    retry_jitter: bool
    non_retryable_codes: list[str]
    run_on_startup: bool
    max_consecutive_errors: int
    breaker_cooldown_sec: float

    @classmethod
    def of(cls, job: Job) -> "JobDefinition":
        """Read a job with its periodic task."""
        return cls(**cls.fields_of(job))

    @classmethod
    def fields_of(cls, job: Job) -> dict[str, Any]:
        """Read a job with its periodic task."""
        timing = Timing.of(job)
        params = configured_redactor().value(job.params, typed=TYPED)
        attempts = None if job.max_retries is None else job.max_retries + 1
        return {
            **{name: getattr(job, name) for name in SAME_NAME},
            **{name: _seconds(getattr(job, field)) for name, field in DURATIONS.items()},
            "job_id": job.job_id,
            "scope": job.scope,
            "task": None if job.is_foreign else job.task,
            "reporting": job.reporting if job.is_foreign else None,
            "office_id": job.office.office_id if job.office else DEFAULT_OFFICE,
            "params": params,
            "default_params": params,
            "cron_expr": timing.cron_expr,
            "interval_seconds": _seconds(timing.every),
            "timezone": timing.zone,
            "max_attempts": attempts,
            "retry_limit": attempts,
        }


class JobOut(JobDefinition):
    """A job as it stands."""

    schedule: str
    paused: bool
    next_due_at: datetime | None
    last_run_at: datetime | None
    last_status: str
    last_error: str
    consecutive_errors: int
    blocking: GateOut | None = Field(description="What holds it back first; null while it runs.")
    warnings: list[str] = Field(description="Of two schedules that disagree, which one counts.")

    @classmethod
    def standing(
        cls, job: Job, explained: Explanation, *, warnings: Sequence[str] = ()
    ) -> "JobOut":
        """Read a job that was selected with its status, its open epoch and its active pause."""
        epoch = next(iter(job.epochs.all()), None)
        return cls(
            **cls.fields_of(job),
            schedule=epoch.in_words() if epoch else "",
            paused=bool(job.pauses.all()),
            next_due_at=job.next_due_at,
            last_run_at=job.status.last_run_at,
            last_status=job.status.last_status,
            last_error=job.status.last_error,
            consecutive_errors=job.status.consecutive_errors,
            blocking=GateOut.of(explained.blocking) if explained.blocking else None,
            warnings=list(warnings),
        )


class RunNow(Schema, extra="forbid"):
    """What a manual run may change."""

    params: Params = Field(default_factory=dict)


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


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
