"""The policies that operators edit, and the record that every deletion leaves."""

from typing import Any, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from retention.errors import PolicyError
from retention.globs import Globs
from retention.policies import DataRetentionPolicy, FileRetentionPolicy

KEEP_EVERYTHING = DataRetentionPolicy(
    raw_snapshot_days=None, pattern_record_days=None, decision_snapshot_days=None
)
EMPTY_IS_FOR_EVER = "Empty keeps them for ever."
A_LINE_EACH = "A glob a line; * stays inside a name, ** goes through directories."


class EnabledPolicy(models.Model):
    """A policy that operators edit; of the rows of a kind the enabled one counts."""

    name = models.CharField(max_length=100, unique=True)
    enabled = models.BooleanField(default=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse what would not make a policy."""
        try:
            self.as_policy()
        except PolicyError as error:
            raise ValidationError(str(error)) from error

    def as_policy(self) -> Any:
        """Return the policy as a value; raise PolicyError."""
        raise NotImplementedError

    @classmethod
    def counting(cls) -> Self | None:
        """Return the enabled row, or without any row an unsaved one, which has the defaults.

        None if there are rows and none is enabled: then the operator has switched it off.
        """
        row = cls._default_manager.order_by("-enabled").first()
        if row is None:
            return cls()
        return row if row.enabled else None


def one_enabled(name: str) -> models.UniqueConstraint:
    """Return the constraint that at most one row of a kind is enabled."""
    return models.UniqueConstraint(
        fields=["enabled"],
        condition=Q(enabled=True),
        name=name,
        violation_error_message="Another policy is enabled: disable it first.",
    )


class RetentionPolicy(EnabledPolicy):
    """How long each category of the dataset is kept."""

    raw_snapshot_days = models.PositiveIntegerField(
        null=True, blank=True, default=7, help_text=EMPTY_IS_FOR_EVER
    )
    pattern_record_days = models.PositiveIntegerField(
        null=True, blank=True, default=30, help_text=EMPTY_IS_FOR_EVER
    )
    decision_snapshot_days = models.PositiveIntegerField(
        null=True, blank=True, default=None, help_text=EMPTY_IS_FOR_EVER
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

    class Meta:
        verbose_name_plural = "retention policies"
        constraints = [one_enabled("retention_one_enabled_policy")]

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


class FileRetention(EnabledPolicy):
    """How long files are kept by age and name alone, and which of them are backed up before."""

    data_root = models.CharField(
        max_length=500, blank=True, help_text="An absolute path. Empty: DATASET_ROOT."
    )
    ttl_days = models.PositiveIntegerField(
        null=True, blank=True, default=7, help_text=EMPTY_IS_FOR_EVER
    )
    include_globs = models.TextField(blank=True, help_text=f"{A_LINE_EACH} Empty: all files.")
    exclude_globs = models.TextField(blank=True, help_text=A_LINE_EACH)
    backup_globs = models.TextField(
        blank=True,
        help_text=f"{A_LINE_EACH} What is backed up, and so may be deleted. Empty: all files.",
    )

    class Meta:
        verbose_name_plural = "file retention"
        constraints = [one_enabled("retention_one_enabled_file_retention")]

    def clean(self) -> None:
        """Refuse what would not make a policy, and globs that are none."""
        super().clean()
        if self.data_root and not self.data_root.startswith("/"):
            raise ValidationError({"data_root": "Give an absolute path."})
        try:
            Globs(self.backed_up or ())
        except PolicyError as error:
            raise ValidationError({"backup_globs": str(error)}) from error

    def as_policy(self) -> FileRetentionPolicy:
        """Return the policy as a value; raise PolicyError."""
        return FileRetentionPolicy(
            ttl_days=self.ttl_days,
            include_globs=_lines(self.include_globs),
            exclude_globs=_lines(self.exclude_globs),
        )

    @property
    def backed_up(self) -> tuple[str, ...] | None:
        """The globs of what is backed up; None for all."""
        return _lines(self.backup_globs) or None


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
    """Return what of the dataset expires; nothing while retention is switched off.

    Raises PolicyError.
    """
    row = RetentionPolicy.counting()
    return row.as_policy() if row else KEEP_EVERYTHING


def current_file_retention() -> FileRetention:
    """Return what of the files is too old, and where they are; nothing while it is switched off."""
    return FileRetention.counting() or FileRetention(ttl_days=None)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())
