"""A job: which Celery task, which parameters, when, with which policy; and how it stands."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django_celery_beat.models import PeriodicTask

from scheduling.models.office import Office
from scheduling.models.values import (
    A_LIFETIME,
    A_SECOND,
    AS_LONG_AS_A_ROW_SAYS,
    NOT_NEGATIVE,
    BackoffKind,
)
from scheduling.queues import FOREIGN_TASK

JOB_ID = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$",
    "A job id starts with a letter or digit and goes on with letters, digits, '_', '.', ':', '-'.",
)


class MisfirePolicy(models.TextChoices):
    """What happens to ticks that are found later than the grace (SPEC A4)."""

    SKIP = "skip", "skip them"
    ONCE = "once", "one catch-up run for the newest"
    ALL = "all", "run all within the catch-up window"


class OverlapPolicy(models.TextChoices):
    """What happens to a tick while the job is still in progress (SPEC A12)."""

    SKIP = "skip", "skip the tick"
    QUEUE = "queue", "wait for the slot"


class RescheduleMode(models.TextChoices):
    """Who plans a job's next tick (SPEC A8)."""

    SCHEDULER = "scheduler", "the beat, by the schedule"
    QUEUE = "queue", "whoever ends a run, some time after it"


class Reporting(models.TextChoices):
    """What a job's foreign worker tells of a run (SPEC A18)."""

    END_ONLY = "end_only", "how it ended"
    FULL = "full", "its start, signs of life, how it ended"


class JobQuerySet(models.QuerySet["Job"]):
    """Chainable facts about jobs."""

    def in_scope(self, scope: str) -> "JobQuerySet":
        """Jobs of one scope that nobody deleted."""
        return self.filter(scope=scope, deleted_at=None)

    def foreign(self) -> "JobQuerySet":
        """Jobs whose workers are no Celery workers."""
        return self.filter(task=FOREIGN_TASK, deleted_at=None)

    def due(self, now: datetime) -> "JobQuerySet":
        """Jobs whose next tick has come; those in queue mode have runs instead."""
        return self.filter(
            enabled=True, next_due_at__lte=now, reschedule_mode=RescheduleMode.SCHEDULER
        )


class Job(models.Model):
    """A definition, in a scope. Its schedule lives in a PeriodicTask; null for jobs without one."""

    scope = models.SlugField(max_length=32)
    job_id = models.CharField(max_length=200, validators=[JOB_ID])
    schedule = models.OneToOneField(
        PeriodicTask, null=True, blank=True, on_delete=models.SET_NULL, related_name="job"
    )
    task = models.CharField(max_length=200, help_text="Registered name of the Celery task.")
    params = models.JSONField(default=dict, blank=True, help_text="Keyword arguments of the task.")
    args = models.JSONField(default=list, blank=True, help_text="Positional arguments of the task.")
    queue = models.CharField(max_length=200)
    routing = models.JSONField(
        default=dict,
        blank=True,
        help_text="What an adopted row says besides: exchange, routing_key, headers, priority.",
    )
    priority = models.IntegerField(default=0, help_text="Lower runs first.")
    office = models.ForeignKey(
        Office,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="jobs",
        db_index=False,
        help_text="Whose slots its runs take; empty: the scope's default office.",
    )
    description = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)
    one_off = models.BooleanField(default=False, help_text="Runs once, then disables itself.")
    adopted = models.BooleanField(
        default=False, help_text="Made by somebody else through django-celery-beat."
    )

    max_parallel = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])
    overlap = models.CharField(
        max_length=8, choices=OverlapPolicy.choices, default=OverlapPolicy.SKIP
    )
    misfire = models.CharField(
        max_length=8, choices=MisfirePolicy.choices, default=MisfirePolicy.ONCE
    )
    misfire_grace = models.DurationField(
        default=timedelta(seconds=60), validators=[NOT_NEGATIVE, A_LIFETIME]
    )
    catch_up_window = models.DurationField(
        default=timedelta(hours=24), validators=[NOT_NEGATIVE, A_LIFETIME]
    )
    timeout = models.DurationField(
        default=timedelta(seconds=1800),
        null=True,
        blank=True,
        validators=[A_SECOND, A_LIFETIME],
        help_text="Empty: what the task declares.",
    )
    expires_after = models.DurationField(
        null=True,
        blank=True,
        validators=[A_SECOND, AS_LONG_AS_A_ROW_SAYS],
        help_text="How long a run may wait for its start; empty: by its next tick.",
    )

    max_retries = models.PositiveIntegerField(
        null=True, blank=True, help_text="Empty: what the task declares."
    )
    retry_base = models.DurationField(
        null=True,
        blank=True,
        validators=[NOT_NEGATIVE, A_LIFETIME],
        help_text="The first wait; empty: what the task declares.",
    )
    retry_cap = models.DurationField(
        null=True, blank=True, validators=[NOT_NEGATIVE, A_LIFETIME], help_text="The longest wait."
    )
    retry_backoff = models.CharField(
        max_length=12, choices=BackoffKind.choices, default=BackoffKind.EXPONENTIAL
    )

    retry_jitter = models.BooleanField(
        default=False, help_text="Waits between half of the computed time and all of it."
    )
    non_retryable_codes = models.JSONField(
        default=list, blank=True, help_text="Error codes after which no retry follows."
    )

    run_on_startup = models.BooleanField(
        default=False, help_text="Runs once per deployment, when a worker serves its queue."
    )
    reschedule_mode = models.CharField(
        max_length=12, choices=RescheduleMode.choices, default=RescheduleMode.SCHEDULER
    )
    next_delay = models.DurationField(
        null=True,
        blank=True,
        validators=[A_SECOND, A_LIFETIME],
        help_text="Queue mode without a cron: how long after a run's end the next one is due.",
    )

    reporting = models.CharField(
        max_length=8,
        choices=Reporting.choices,
        default=Reporting.END_ONLY,
        help_text=f"Of a job with the task {FOREIGN_TASK}: what its worker tells of a run.",
    )

    max_consecutive_errors = models.PositiveIntegerField(
        default=3, validators=[MinValueValidator(1)]
    )
    breaker_cooldown = models.DurationField(
        default=timedelta(seconds=300), validators=[A_SECOND, A_LIFETIME]
    )

    next_due_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Empty: will not fire."
    )
    planned_until = models.DateTimeField(
        null=True, editable=False, help_text="Every tick up to here has its run or its verdict."
    )
    pruned_until = models.DateTimeField(
        null=True, editable=False, help_text="Verdicts of ticks up to here are only in the totals."
    )
    schedule_error = models.TextField(
        blank=True, editable=False, help_text="Why the schedule cannot be planned."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[models.Manager["Job"]] = JobQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "job_id"], name="job_unique_in_scope"),
            models.CheckConstraint(
                condition=Q(max_parallel__gte=1), name="job_max_parallel_at_least_one"
            ),
            models.CheckConstraint(
                condition=Q(max_consecutive_errors__gte=1),
                name="job_max_consecutive_errors_at_least_one",
            ),
        ]
        indexes = [
            models.Index(
                fields=["scope", "next_due_at"],
                name="job_due",
                condition=Q(next_due_at__isnull=False),
            ),
            models.Index(fields=["scope"], name="job_on_startup", condition=Q(run_on_startup=True)),
            models.Index(fields=["scope", "reschedule_mode"], name="job_by_mode"),
            models.Index(
                fields=["queue"], name="job_foreign_by_queue", condition=Q(task=FOREIGN_TASK)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope}:{self.job_id}"

    @property
    def is_foreign(self) -> bool:
        """Whether its workers are no Celery workers, and get JSON messages."""
        return self.task == FOREIGN_TASK

    @property
    def is_chained(self) -> bool:
        """Whether the end of each planned run makes the next (queue mode)."""
        return self.reschedule_mode == RescheduleMode.QUEUE


class JobStatus(models.Model):
    """How a job stands, told by its attempts.

    A table of its own, so that a finish never locks the job row that claim and plan need
    (lock order: job, runs by id, status).
    """

    job = models.OneToOneField(
        Job, primary_key=True, on_delete=models.CASCADE, related_name="status"
    )
    last_run_at = models.DateTimeField(null=True)
    last_status = models.CharField(max_length=12, blank=True)
    last_error = models.TextField(blank=True)
    consecutive_errors = models.PositiveIntegerField(default=0)
    tripped_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "job statuses"

    def __str__(self) -> str:
        return f"{self.job}: {self.last_status or 'never ran'}"
