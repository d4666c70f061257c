"""An office: a tenant with slots, roles and policies of its own, and what is submitted to it."""

from datetime import timedelta
from typing import ClassVar

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from scheduling.models.values import A_LIFETIME, A_SECOND, NOT_NEGATIVE, BackoffKind

DEFAULT_OFFICE = "default"  # its runs name no office: those of jobs (SPEC, Words)
OFFICE_ID = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
    "An office id starts with a letter or digit and goes on with letters, digits, '_', '-'.",
)
AT_LEAST_ONE = MinValueValidator(1, "Give 1 or more; to stop an office, pause it.")
NOT_WORTH_A_RETRY = ["GIT_CONFLICT", "PERMISSION_DENIED", "DEPENDENCY_FAILED"]  # seed 004


def not_worth_a_retry() -> list[str]:
    """Return the error codes that a new office does not retry."""
    return list(NOT_WORTH_A_RETRY)


class OfficeState(models.TextChoices):
    """Whether the work of an office is started."""

    ACTIVE = "active", "active"
    PAUSED = "paused", "paused: nothing new is started"
    ARCHIVED = "archived", "archived: nothing is started or submitted"


class OfficeQuerySet(models.QuerySet["Office"]):
    """Chainable facts about offices."""

    def in_scope(self, scope: str) -> "OfficeQuerySet":
        """Offices of one scope."""
        return self.filter(scope=scope)


class Office(models.Model):
    """A tenant. Its limits hold for whatever is queued, running or stopping (SPEC B3)."""

    scope = models.SlugField(max_length=32)
    office_id = models.CharField(max_length=64, validators=[OFFICE_ID])
    name = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=8, choices=OfficeState.choices, default=OfficeState.ACTIVE)
    max_concurrent = models.PositiveIntegerField(
        default=3, null=True, blank=True, validators=[AT_LEAST_ONE], help_text="Empty: no limit."
    )
    default_timeout = models.DurationField(
        default=timedelta(minutes=30), validators=[A_SECOND, A_LIFETIME]
    )
    max_retries = models.PositiveIntegerField(default=2)
    retry_base = models.DurationField(
        default=timedelta(seconds=60), validators=[NOT_NEGATIVE, A_LIFETIME]
    )
    retry_backoff = models.CharField(
        max_length=12, choices=BackoffKind.choices, default=BackoffKind.EXPONENTIAL
    )
    non_retryable_codes = models.JSONField(
        default=not_worth_a_retry,
        blank=True,
        help_text="Error codes after which no retry follows.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager["Office"]] = OfficeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "office_id"], name="office_unique_in_scope"),
            models.CheckConstraint(
                condition=Q(max_concurrent=None) | Q(max_concurrent__gte=1),
                name="office_max_concurrent_at_least_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope}:{self.office_id}"

    @property
    def is_default(self) -> bool:
        """Whether the runs that name no office are its own."""
        return self.office_id == DEFAULT_OFFICE

    @property
    def queue(self) -> str:
        """Where its work goes that names no queue of its own."""
        return f"{self.scope}.offices.{self.office_id}"


class RoleLimit(models.Model):
    """What holds for one role of an office; empty: what holds for the office."""

    office = models.ForeignKey(Office, on_delete=models.CASCADE, related_name="roles")
    role = models.CharField(max_length=64)
    max_concurrent = models.PositiveIntegerField(
        null=True, blank=True, validators=[AT_LEAST_ONE], help_text="Empty: only the office's."
    )
    timeout = models.DurationField(null=True, blank=True, validators=[A_SECOND, A_LIFETIME])
    max_retries = models.PositiveIntegerField(null=True, blank=True)
    retry_base = models.DurationField(null=True, blank=True, validators=[NOT_NEGATIVE, A_LIFETIME])
    retry_backoff = models.CharField(max_length=12, choices=BackoffKind.choices, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["office", "role"], name="role_unique_in_office"),
            models.CheckConstraint(
                condition=Q(max_concurrent=None) | Q(max_concurrent__gte=1),
                name="role_max_concurrent_at_least_one",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} of {self.office}"


class Submission(models.Model):
    """Work that was submitted together. It exists for others once it is whole (`built_at`)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    office = models.ForeignKey(Office, on_delete=models.PROTECT, related_name="submissions")
    submitted_by = models.CharField(max_length=200)
    idempotency_key = models.CharField(max_length=100, null=True)  # noqa: DJ001 unique only if given
    digest = models.CharField(max_length=64, help_text="SHA-256 of what was submitted.")
    runs_count = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    built_at = models.DateTimeField(
        null=True, help_text="Empty: still being written; nothing of it is started."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["office", "idempotency_key"], name="submission_one_per_idempotency_key"
            )
        ]
        indexes = [
            models.Index(
                fields=["created_at"], name="submission_unbuilt", condition=Q(built_at=None)
            )
        ]

    def __str__(self) -> str:
        return f"submission {self.id}"


class OfficeTask(models.Model):
    """A task that was submitted to an office, and the queue it goes to: who knows it serves it."""

    office = models.ForeignKey(Office, on_delete=models.CASCADE, related_name="tasks")
    task = models.CharField(max_length=200)
    queue = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["office", "task", "queue"], name="office_task_once")
        ]

    def __str__(self) -> str:
        return f"{self.task} of {self.office} on {self.queue}"
