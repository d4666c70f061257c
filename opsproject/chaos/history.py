"""What happened, as plain values: what was planned, what the ledger says, what the tasks noted."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from uuid import UUID

from scheduling.recurrence import Recurrence
from scheduling.states import Trigger


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """A stretch (from_at, to_at] in which a job had one recurrence; `to_at` None: still open."""

    id: int
    job: str
    recurrence: Recurrence
    from_at: datetime
    to_at: datetime | None
    ends_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class LedgerRun:
    """A run as the ledger ends it; one of an office's work has the office for its `job`.

    `told` is the fence that its recorded result names, `reopened` how often operators had it tried
    again after it had ended.
    """

    id: UUID
    job: str
    epoch: int | None
    tick: datetime | None
    state: str
    reason: str = ""
    trigger: str = Trigger.SCHEDULER
    attempt: int = 1
    told: str | None = None
    reopened: int = 0
    created_at: datetime | None = None
    not_before: datetime | None = None
    finished_at: datetime | None = None
    slots: tuple[str, ...] = ()  # what it takes a slot of besides its job
    submission: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class LedgerAttempt:
    """One attempt as the ledger has it; `outcome` is empty while it is not over."""

    run: UUID
    number: int
    started_at: datetime
    finished_at: datetime | None
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Skip:
    """The ticks of an epoch in (after, until] that ended with one reason; so many it says."""

    id: int
    epoch: int
    reason: str
    after: datetime
    until: datetime
    count: int


@dataclass(frozen=True, kw_only=True)
class Event:
    """What the ledger told the world about a run."""

    run: UUID
    attempt: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One execution of a task by its own notes; times of the host's monotonic clock, in seconds.

    `outcome` is `returned`, the name of what was raised, or empty where no end was noted. `wall`
    is the start in seconds since 1970.
    """

    run: UUID
    attempt: int
    pid: int
    wall: float
    began: float
    last_seen: float
    outcome: str = ""

    def seen(self, at: float, outcome: str) -> "Execution":
        """Return it with one more sign of life."""
        return replace(self, last_seen=at, outcome=outcome)

    @property
    def seconds(self) -> float:
        """How long it is known to have gone on."""
        return self.last_seen - self.began

    def __str__(self) -> str:
        ended = f"{self.seconds:.1f} s, {self.outcome or 'no end noted'}"
        return f"run {self.run} attempt {self.attempt} in pid {self.pid} ({ended})"


@dataclass(frozen=True, kw_only=True)
class Paused:
    """A stretch in which a job was paused; `until` None: it still is."""

    job: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of a schedule that an operator was about to make; it may not have come to it."""

    job: str
    at: datetime
    disables: bool


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What an operator was told of run-now: this run exists, and its key gives it back."""

    job: str
    key: str
    run: UUID


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """Work that an office has taken: the submission, and of how many runs it is made."""

    office: str
    submission: UUID
    runs: int


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A run that waits for the end of another."""

    run: UUID
    awaited: UUID


@dataclass(frozen=True, kw_only=True)
class Excess:
    """More runs of a job, an office or a role held a slot, in one look, than it allows."""

    job: str
    at: datetime
    limit: int
    runs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class History:
    """All of it, read when the cluster had come to rest.

    `limits` says how much at once each job allows, and each office and each role in it.
    """

    limits: dict[str, int]
    epochs: list[Epoch] = field(default_factory=list)
    runs: list[LedgerRun] = field(default_factory=list)
    attempts: list[LedgerAttempt] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    pauses: list[Paused] = field(default_factory=list)
    at_startup: list[str] = field(default_factory=list)  # jobs that run once a deployment
    promises: list[Promise] = field(default_factory=list)
    cancelled: list[UUID] = field(default_factory=list)  # for good, as operators were told
    excesses: list[Excess] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    promised_work: list[Submitted] = field(default_factory=list)  # as clients were told
    built_work: list[Submitted] = field(default_factory=list)  # as the ledger has it
    frozen: bool = False  # workers were frozen: an execution may outlive its lease

    def job_of(self, run: UUID) -> str | None:
        """Return the job of a run, None for a run that the ledger does not have."""
        found = self._runs.get(run)
        return found.job if found else None

    def slots_of(self, run: UUID) -> tuple[str, ...]:
        """Return all that a run takes a slot of; nothing for one that the ledger does not have."""
        found = self._runs.get(run)
        return (found.job, *found.slots) if found else ()

    @cached_property
    def _runs(self) -> dict[UUID, LedgerRun]:
        return {run.id: run for run in self.runs}
