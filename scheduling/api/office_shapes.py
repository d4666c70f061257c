"""What the API sends and takes of offices; names are those of seed 004."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from ninja import Field, Schema
from pydantic.alias_generators import to_camel

from scheduling.actions.offices.work import LONGEST_TEXT
from scheduling.api.shapes import WHOLE, Count, Limit
from scheduling.models import Office
from scheduling.models.office import DEFAULT_OFFICE, OFFICE_ID

LONGEST_MS = 100 * 365 * 24 * 3600 * 1000
A_MILLISECOND = timedelta(milliseconds=1)

MOST_ROLES = 200  # in one change
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Milliseconds = Annotated[int, Field(ge=1_000, le=LONGEST_MS, strict=True), WHOLE]
Delay = Annotated[int, Field(ge=0, le=LONGEST_MS, strict=True), WHOLE]
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

    office_id: Annotated[str, Field(pattern=OFFICE_ID.regex.pattern)]
    name: Text = ""
    max_concurrent_jobs: Limit | None = 3

    @property
    def slots(self) -> int | None:
        """How many runs at once; the default office, that of jobs, has no limit unless told."""
        told = "max_concurrent_jobs" in self.model_fields_set
        return self.max_concurrent_jobs if told or self.office_id != DEFAULT_OFFICE else None


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
    max_concurrent_by_role: dict[Role, Limit | None] = Field(
        default_factory=dict, max_length=MOST_ROLES
    )
    default_timeout_ms: Milliseconds | None = None
    timeout_by_role_ms: dict[Role, Milliseconds | None] = Field(
        default_factory=dict, max_length=MOST_ROLES
    )
    max_retries: Count | None = None
    retry_backoff: Literal["exponential", "linear"] | None = None
    retry_base_delay_ms: Delay | None = None

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


class ProcessedOut(Schema):
    """How many runs were given to workers."""

    started: int
