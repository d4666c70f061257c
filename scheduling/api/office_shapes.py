"""What the API sends and takes of offices and their work; names are those of seed 004."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic.alias_generators import to_camel

from scheduling.actions.offices.work import LONGEST_TEXT, MOST_RUNS, Work
from scheduling.logs import TYPED, configured_redactor
from scheduling.models import Attempt, Office, Run
from scheduling.states import RunState
from scheduling.storable import storable

MOST_WAITS = 10_000  # of one run
MOST_RUNS_LISTED = 1_000
LONGEST_MS = 100 * 365 * 24 * 3600 * 1000
A_MILLISECOND = timedelta(milliseconds=1)
LARGEST_NUMBER = 2**31 - 1

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Milliseconds = Annotated[int, Field(ge=1_000, le=LONGEST_MS, strict=True)]
Count = Annotated[int, Field(ge=0, le=LARGEST_NUMBER, strict=True)]
Limit = Annotated[int, Field(ge=1, le=LARGEST_NUMBER, strict=True)]
Priority = Annotated[int, Field(ge=-1_000_000_000, le=1_000_000_000, strict=True)]
Role = Annotated[str, Field(min_length=1, max_length=64)]

CONFIG_FIELDS = {
    "max_concurrent_jobs": "max_concurrent",
    "default_timeout_ms": "default_timeout",
    "max_retries": "max_retries",
    "retry_backoff": "retry_backoff",
    "retry_base_delay_ms": "retry_base",
}


class NewOfficeIn(Schema, extra="forbid"):
    """A new office; its roles and limits are those of the seed until they are changed."""

    office_id: Annotated[str, Field(max_length=64)]
    name: Text = ""
    max_concurrent_jobs: Limit | None = 3


class OfficeIn(Schema, extra="forbid"):
    """What to change of an office."""

    name: Text | None = None
    state: Literal["active", "paused", "archived"] | None = None


class OfficeOut(Schema):
    """An office as it stands."""

    office_id: str
    scope: str
    name: str
    state: str
    max_concurrent_jobs: int | None

    @classmethod
    def of(cls, office: Office) -> "OfficeOut":
        """Read an office."""
        return cls(
            office_id=office.office_id,
            scope=office.scope,
            name=office.name,
            state=office.state,
            max_concurrent_jobs=office.max_concurrent,
        )


class ConfigOut(Schema):
    """Limits and policy of an office; roles that are not named have the office's."""

    max_concurrent_jobs: int | None
    max_concurrent_by_role: dict[str, int]
    default_timeout_ms: int
    timeout_by_role_ms: dict[str, int]
    max_retries: int
    retry_backoff: str
    retry_base_delay_ms: int

    @classmethod
    def of(cls, office: Office) -> "ConfigOut":
        """Read an office and its roles."""
        roles = list(office.roles.order_by("role"))
        return cls(
            max_concurrent_jobs=office.max_concurrent,
            max_concurrent_by_role={
                role.role: role.max_concurrent for role in roles if role.max_concurrent is not None
            },
            default_timeout_ms=office.default_timeout // A_MILLISECOND,
            timeout_by_role_ms={
                role.role: role.timeout // A_MILLISECOND
                for role in roles
                if role.timeout is not None
            },
            max_retries=office.max_retries,
            retry_backoff=office.retry_backoff,
            retry_base_delay_ms=office.retry_base // A_MILLISECOND,
        )


class ConfigIn(Schema, extra="forbid", alias_generator=to_camel, populate_by_name=True):
    """What to change, in snake_case or camelCase; a role's null takes its own limit away."""

    max_concurrent_jobs: Limit | None = None
    max_concurrent_by_role: dict[Role, Limit | None] = Field(default_factory=dict)
    default_timeout_ms: Milliseconds | None = None
    timeout_by_role_ms: dict[Role, Milliseconds | None] = Field(default_factory=dict)
    max_retries: Count | None = None
    retry_backoff: Literal["exponential", "linear"] | None = None
    retry_base_delay_ms: Annotated[int, Field(ge=0, le=LONGEST_MS, strict=True)] | None = None

    def of_office(self) -> dict[str, Any]:
        """Return the changes of the office, as the action takes them."""
        given = self.model_dump(exclude_unset=True)
        named = {name: given[key] for key, name in CONFIG_FIELDS.items() if key in given}
        for name in ("default_timeout", "retry_base"):
            if named.get(name) is not None:
                named[name] *= A_MILLISECOND
        # Only the limit may be none; an explicit null of another changes nothing.
        return {k: v for k, v in named.items() if v is not None or k == "max_concurrent"}

    def of_roles(self) -> dict[str, dict[str, Any]]:
        """Return the changes of the roles, as the action takes them."""
        roles: dict[str, dict[str, Any]] = {}
        for role, most in self.max_concurrent_by_role.items():
            roles.setdefault(role, {})["max_concurrent"] = most
        for role, limit in self.timeout_by_role_ms.items():
            timeout = None if limit is None else limit * A_MILLISECOND
            roles.setdefault(role, {})["timeout"] = timeout
        return roles


class WorkIn(Schema, extra="forbid"):
    """One run to be: `depends_on` names ids of this request, or earlier runs of the office."""

    id: Text
    task: Text
    params: dict[str, Any] = Field(default_factory=dict)
    depends_on: Annotated[list[Text], Field(max_length=MOST_WAITS)] = Field(default_factory=list)
    priority: Priority = 0
    role: Text = ""
    assignee: Text = ""
    queue: Text = ""
    timeout_ms: Milliseconds | None = None
    max_retries: Count | None = None

    def work(self) -> Work:
        """Return it as the action takes it."""
        timeout = None if self.timeout_ms is None else timedelta(milliseconds=self.timeout_ms)
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
    def fields_of(cls, run: Run) -> dict[str, Any]:
        """Read a run."""
        cancelled = run.finished_at if run.state == "cancelled" else None
        milliseconds = None if run.timeout is None else run.timeout // timedelta(milliseconds=1)
        return {
            "run_id": str(run.pk),
            "id": run.name,
            "submission_id": str(run.submission_id) if run.submission_id else None,
            "task": run.task,
            "params": configured_redactor().value(run.params, typed=TYPED),
            "role": run.role,
            "assignee": run.assignee,
            "priority": run.priority,
            "status": run.state,
            "reason": run.reason,
            "waits_for": run.unmet,
            "retry_count": run.retry_count,
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


class OfficeRunDetail(OfficeRunOut):
    """A run with its attempts, oldest first, and the runs that it depends on."""

    depends_on: list[str]
    attempts: list[AttemptOut]

    @classmethod
    def of(cls, run: Run, depends_on: Iterable[str]) -> "OfficeRunDetail":
        """Read a run with what hangs on it."""
        attempts = [AttemptOut.of(attempt) for attempt in run.attempts.order_by("number")]
        return cls(**cls.fields_of(run), depends_on=list(depends_on), attempts=attempts)


class PriorityIn(Schema, extra="forbid"):
    """Lower runs first."""

    priority: Priority


class HandOverIn(Schema, extra="forbid"):
    """Who the work is for from now on."""

    role: Annotated[str, Field(max_length=64)] | None = None
    assignee: Text | None = None


class CancelledOut(Schema):
    """How many runs were cancelled, or told to stop."""

    cancelled: int


class RunFilter(Schema, extra="forbid"):
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


class StatsOut(Schema):
    """How many runs of the office are in each state; `processing` holds a slot each.

    `avg_completion_time`: seconds from start to end of what was done, null while nothing was.
    """

    pending: int
    ready: int
    processing: int
    done: int
    failed: int
    cancelled: int
    timeout: int
    avg_completion_time: float | None
