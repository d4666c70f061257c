"""The policy that an operator edits, and the record that every deletion leaves."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from retention.errors import PolicyError
from retention.policies import DataRetentionPolicy

KEEP_EVERYTHING = DataRetentionPolicy(
    raw_snapshot_days=None, pattern_record_days=None, decision_snapshot_days=None
)


class RetentionPolicy(models.Model):
    """How long each category of the dataset is kept; the enabled row is the one that counts."""

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    raw_snapshot_days = models.PositiveIntegerField(
        null=True, blank=True, default=7, help_text="Empty keeps them for ever."
    )
    pattern_record_days = models.PositiveIntegerField(
        null=True, blank=True, default=30, help_text="Empty keeps them for ever."
    )
    decision_snapshot_days = models.PositiveIntegerField(
        null=True, blank=True, default=None, help_text="Empty keeps them for ever."
    )
    raw_words = models.CharField(max_length=500, default="raw", help_text="Separated by spaces.")
    pattern_words = models.CharField(
        max_length=500, default="pattern patterns", help_text="Separated by spaces."
    )
    decision_words = models.CharField(
        max_length=500,
        default="decision decisions",
        help_text="Separated by spaces. They win over pattern words, and those over raw words.",
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "retention policies"
        constraints = [
            models.UniqueConstraint(
                fields=["enabled"],
                condition=Q(enabled=True),
                name="retention_one_enabled_policy",
                violation_error_message="Another policy is enabled: disable it first.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse what would not make a policy."""
        try:
            self.as_policy()
        except PolicyError as error:
            raise ValidationError(str(error)) from error

    def as_policy(self) -> DataRetentionPolicy:
        """Return the policy as a value; raise PolicyError."""
        return DataRetentionPolicy(
            raw_snapshot_days=self.raw_snapshot_days,
            pattern_record_days=self.pattern_record_days,
            decision_snapshot_days=self.decision_snapshot_days,
            raw_words=tuple(self.raw_words.split()),
            pattern_words=tuple(self.pattern_words.split()),
            decision_words=tuple(self.decision_words.split()),
        )


class Deletion(models.Model):
    """One file that was deleted, or is about to be: planned before the unlink, concluded after.

    A row without `deleted_at` was left by a crash in between; `journal.settle_deletions` finds out.
    """

    root = models.TextField()
    path = models.TextField(help_text="Relative to the root.")
    size_bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=80, help_text="size:mtime_ns:inode")
    backup_id = models.CharField(max_length=64, blank=True, help_text="The backup that holds it.")
    reason = models.CharField(max_length=200)
    planned_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["id"], condition=Q(deleted_at=None), name="retention_deletion_open"
            ),
            models.Index(fields=["-deleted_at"], name="retention_deletion_recent"),
        ]

    def __str__(self) -> str:
        return self.path


def current_policy() -> DataRetentionPolicy:
    """Return the enabled row's policy, or the defaults of SPEC E6 if there is no row at all.

    Rows of which none is enabled mean that retention is switched off: nothing expires. Raises
    PolicyError.
    """
    row = RetentionPolicy.objects.order_by("-enabled").first()
    if row is None:
        return DataRetentionPolicy()
    return row.as_policy() if row.enabled else KEEP_EVERYTHING
