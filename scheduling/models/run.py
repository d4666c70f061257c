"""A run, one row of the ledger."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Count, Q
from uuid_utils.compat import uuid7

from scheduling.fence import Fence
from scheduling.models.job import Job, Reporting
from scheduling.models.office import Office, Submission
from scheduling.models.schedule import ScheduleEpoch
from scheduling.models.worker import WorkerProcess
from scheduling.queues import is_own_queue
from scheduling.states import FINAL, HOLDING_SLOT, RunState, Trigger

# A planned run of a chain that nobody has claimed: only these exist before they are due (SPEC A8).
WAITING_LINK = Q(attempt=0, scheduled_for__isnull=False, not_before__isnull=False)

# What was submitted together starts together, once all of it is there.
BUILT = Q(submission=None) | Q(submission__built_at__isnull=False)

# Its only message is with a foreign worker, of whom nothing is heard before the end (SPEC A18).
OUT_OF_HAND = Q(reporting=Reporting.END_ONLY, state=RunState.QUEUED, published_at__isnull=False)

# Its message goes through somebody's exchange, into queues that are not known.
ROUTED = Q(routing__has_keys=["exchange", "routing_key"])


class RunQuerySet(models.QuerySet["Run"]):
    """Chainable facts about runs."""

    def in_scope(self, scope: str) -> "RunQuerySet":
        """Runs of one scope."""
        return self.filter(scope=scope)

    def of_office(self, office: Office) -> "RunQuerySet":
        """Runs of an office, but those of a submission that is still being written."""
        own = self.filter(scope=office.scope, office=None if office.is_default else office)
        return own.filter(BUILT)

    def open(self, *states: RunState) -> "RunQuerySet":
        """Runs that have not ended, or those of them in the given states.

        `finished_at IS NULL` says it too, in words that let SQLite use the partial indexes: a
        bound parameter such as `state = ?` implies nothing to its planner.
        """
        unfinished = self.filter(finished_at=None)
        return unfinished.filter(state__in=states) if states else unfinished

    def holding_slot(self) -> "RunQuerySet":
        """Runs that count against a limit."""
        return self.open(*HOLDING_SLOT)

    def holding_back(self, now: datetime) -> "RunQuerySet":
        """Runs that may hold later ones of their job back.

        One that is out of hand does so for as long as its worker might still begin it.
        """
        return self.exclude(OUT_OF_HAND, expires_at__lte=now)

    def due(self, now: datetime) -> "RunQuerySet":
        """Pending runs that wait for nothing more; `due_links` sees to the links of chains."""
        return self.open(RunState.PENDING).filter(
            BUILT,
            Q(not_before=None) | Q(not_before__lte=now),
            Q(next_attempt_at=None) | Q(next_attempt_at__lte=now),
            ~WAITING_LINK,
            unmet=0,
        )

    def ended_but_awaited(self) -> "RunQuerySet":
        """Runs that have ended, and that others still wait for."""
        return self.filter(awaited=True, finished_at__isnull=False)

    def waiting_links(self) -> "RunQuerySet":
        """Planned runs of jobs in queue mode that wait for their time, here or at the broker."""
        return self.open(RunState.PENDING).filter(WAITING_LINK)

    def count_by_job(self, job_pks: Collection[int]) -> Counter[int]:
        """Return how many there are of each of the jobs, by its primary key."""
        runs = self.filter(job_id__in=job_pks).order_by().values_list("job_id")
        return Counter(dict(runs.annotate(Count("id"))))

    def in_claim_order(self) -> "RunQuerySet":
        """Lower priority number first, then age (a UUIDv7 grows with time)."""
        return self.order_by("priority", "id")


def _in(states: frozenset[RunState]) -> Q:
    return Q(state__in=sorted(state.value for state in states))


def _open_index(name: str, *fields: str) -> models.Index:
    return models.Index(fields=fields, name=name, condition=Q(finished_at=None))


class Run(models.Model):
    """One execution of work, self-contained: a later edit of the job does not change it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scope = models.SlugField(max_length=32)
    job = models.ForeignKey(Job, null=True, on_delete=models.PROTECT, related_name="runs")
    epoch = models.ForeignKey(
        ScheduleEpoch, null=True, on_delete=models.PROTECT, related_name="runs"
    )
    office = models.ForeignKey(
        Office,
        null=True,
        on_delete=models.PROTECT,
        related_name="runs",
        db_index=False,  # of the runs of jobs there are very many
        help_text="Empty: the scope's default office.",
    )
    submission = models.ForeignKey(
        Submission, null=True, on_delete=models.PROTECT, related_name="runs", db_index=False
    )
    name = models.CharField(max_length=200, blank=True, help_text="Its key in the submission.")
    role = models.CharField(max_length=64, blank=True)
    assignee = models.CharField(max_length=200, blank=True)
    unmet = models.PositiveIntegerField(default=0, help_text="Runs that it still waits for.")
    awaited = models.BooleanField(default=False, help_text="Others wait for its end.")
    scheduled_for = models.DateTimeField(null=True, help_text="The tick; empty: not planned.")
    trigger = models.CharField(max_length=12, choices=[(t, t.value) for t in Trigger])
    idempotency_key = models.CharField(max_length=200, null=True)  # noqa: DJ001 unique only if given
    asked_digest = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 of what was asked for with that key."
    )

    task = models.CharField(max_length=200)
    args = models.JSONField(default=list)
    params = models.JSONField(default=dict)
    queue = models.CharField(max_length=200)
    routing = models.JSONField(default=dict)
    reporting = models.CharField(
        max_length=8, blank=True, help_text="What a foreign worker tells of it; empty: Celery's."
    )
    priority = models.IntegerField(default=0)
    timeout = models.DurationField(null=True, help_text="Empty: what the task declares.")
    max_retries = models.PositiveIntegerField(null=True)
    retry_base = models.DurationField(null=True)
    retry_cap = models.DurationField(null=True)
    retry_backoff = models.CharField(max_length=12)
    retry_jitter = models.BooleanField(default=False)
    non_retryable_codes = models.JSONField(default=list)

    state = models.CharField(
        max_length=10, choices=[(s, s.value) for s in RunState], default=RunState.PENDING
    )
    reason = models.CharField(max_length=200, blank=True)
    attempt = models.PositiveIntegerField(default=0, help_text="Number of the current attempt.")
    attempt_id = models.UUIDField(null=True, help_text="The Celery task id of that attempt.")
    retry_count = models.PositiveIntegerField(default=0, help_text="Failed attempts so far.")
    lost_count = models.PositiveIntegerField(default=0, help_text="Attempts whose worker vanished.")

    created_at = models.DateTimeField()
    not_before = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)
    publish_count = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    worker = models.ForeignKey(WorkerProcess, null=True, on_delete=models.SET_NULL)

    result = models.JSONField(null=True)
    error = models.TextField(blank=True)
    error_code = models.CharField(max_length=200, blank=True)

    objects: ClassVar[models.Manager["Run"]] = RunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "scheduled_for"], name="run_one_per_tick"),
            models.UniqueConstraint(
                fields=["scope", "idempotency_key"], name="run_one_per_idempotency_key"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in RunState]), name="run_state_known"
            ),
            models.CheckConstraint(
                condition=~_in(FINAL) | Q(finished_at__isnull=False), name="run_final_is_finished"
            ),
            models.CheckConstraint(
                condition=_in(FINAL) | Q(finished_at=None), name="run_open_is_not_finished"
            ),
            models.CheckConstraint(
                condition=~_in(HOLDING_SLOT) | Q(attempt_id__isnull=False, attempt__gte=1),
                name="run_slot_needs_attempt",
            ),
            models.CheckConstraint(
                condition=~Q(state=RunState.RUNNING) | Q(started_at__isnull=False),
                name="run_running_is_started",
            ),
        ]
        indexes = [
            _open_index("run_pending", "state", "unmet", "next_attempt_at"),
            _open_index("run_ready", "state", "priority", "id"),
            _open_index("run_queued", "state", "queue", "published_at"),
            _open_index("run_open_by_job", "job", "state"),
            _open_index("run_open_by_worker", "worker"),
            _open_index("run_open_by_office", "office", "state"),
            models.Index(
                fields=["finished_at"],
                name="run_ended_but_awaited",
                condition=Q(awaited=True, finished_at__isnull=False),
            ),
            models.Index(
                fields=["office", "id"], name="run_by_office", condition=Q(office__isnull=False)
            ),
            models.Index(
                fields=["submission", "id"],
                name="run_by_submission",
                condition=Q(submission__isnull=False),
            ),
            models.Index(fields=["job", "-finished_at"], name="run_history"),
            models.Index(fields=["scope", "-finished_at"], name="run_recent"),
        ]

    def __str__(self) -> str:
        return f"{self.job or self.name or self.task} {self.id}"

    @property
    def is_out_of_hand(self) -> bool:
        """Whether its only message is with a foreign worker; `OUT_OF_HAND` says it to a query."""
        sent = self.state == RunState.QUEUED and self.published_at is not None
        return sent and self.reporting == Reporting.END_ONLY

    def has_let_go(self, now: datetime) -> bool:
        """Whether it holds no later run of its job back; `holding_back` says it to a query."""
        over = self.expires_at is not None and self.expires_at <= now
        return over and self.is_out_of_hand

    @property
    def fence(self) -> Fence:
        """Its current attempt, as messages and workers name it."""
        return Fence(self.id, self.attempt)

    @property
    def is_for_own_queue(self) -> bool:
        """Whether its queue is one of its scope's own, or one that others may serve too."""
        return is_own_queue(self.queue, self.scope)
