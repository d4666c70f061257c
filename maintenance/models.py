"""The database's view of backups: headers and totals. The files are in the manifest alone."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from maintenance.errors import ManifestError
from maintenance.manifest import TREE_NAME, Manifest, Purpose, Strategy
from retention.files import from_printable, printable
from retention.keeping import KeepingPolicy
from retention.models import EnabledPolicy, one_enabled


def _choices(values: type[StrEnum]) -> list[tuple[str, str]]:
    return [(value.value, value.value) for value in values]


class BackupQuerySet(models.QuerySet["Backup"]):
    """Adjectives for backups."""

    def below(self, backup_root: Path) -> "BackupQuerySet":
        """Those that lie in this backup root."""
        return self.filter(backup_root=printable(str(backup_root)))

    def snapshots_of(self, source_root: Path) -> "BackupQuerySet":
        """Copies of all of this dataset, never the archives that hold deleted files."""
        return self.of(source_root).filter(purpose=Purpose.SNAPSHOT, is_partial=False)

    def trees(self) -> "BackupQuerySet":
        """Those that are a tree of files."""
        return self.filter(strategy=Strategy.FILE)

    def of(self, source_root: Path) -> "BackupQuerySet":
        """Copies of this dataset, and archives of what was deleted from it."""
        return self.filter(source_root=printable(str(source_root)))

    def present(self) -> "BackupQuerySet":
        """Those that were not removed."""
        return self.exclude(state=Backup.State.REMOVED)

    def verified(self) -> "BackupQuerySet":
        """Those whose last verification succeeded."""
        return self.filter(state=Backup.State.VERIFIED)

    def newest_first(self) -> "BackupQuerySet":
        """Order by place in the chain, which no clock can disturb."""
        return self.order_by("-sequence", "-pk")


class Backup(models.Model):
    """One backup: where it lies, what it holds in sum, and whether it could be read back."""

    class State(models.TextChoices):
        """What is known about the files of a backup."""

        VERIFIED = "verified"
        SUSPECT = "suspect"  # it may be whole, but something is odd: nothing is deleted on it
        FAILED = "failed"
        REMOVED = "removed"

    backup_id = models.CharField(max_length=64, unique=True)
    sequence = models.PositiveBigIntegerField()
    state = models.CharField(max_length=10, choices=State)
    strategy = models.CharField(max_length=10, choices=_choices(Strategy))
    purpose = models.CharField(max_length=10, choices=_choices(Purpose))
    backup_root = models.TextField()
    source_root = models.TextField()
    manifest_path = models.TextField()
    manifest_sha256 = models.CharField(max_length=64)
    previous_sha256 = models.CharField(max_length=64, blank=True)
    archive_name = models.CharField(max_length=255, blank=True, help_text="Empty: a tree of files.")
    archive_sha256 = models.CharField(max_length=64, blank=True)
    stored_bytes = models.PositiveBigIntegerField(help_text="What it took of the disk.")
    file_count = models.PositiveBigIntegerField()
    total_bytes = models.PositiveBigIntegerField()
    changed_count = models.PositiveBigIntegerField(
        null=True, help_text="Files that the backup before holds with another content."
    )
    skipped_count = models.PositiveBigIntegerField()
    is_partial = models.BooleanField(
        default=False, help_text="Globs left something of the source out."
    )
    tool = models.CharField(max_length=100)
    error = models.TextField(blank=True)
    anomaly = models.TextField(
        blank=True, help_text="What is odd about it, until somebody accepts it."
    )
    created_at = models.DateTimeField(db_index=True)
    verified_at = models.DateTimeField(null=True)
    drilled_at = models.DateTimeField(null=True, help_text="When it was last restored as a drill.")
    due_since = models.DateTimeField(
        null=True, help_text="When the days of an only copy were first found to have passed."
    )
    copied_at = models.DateTimeField(null=True, help_text="When a copy elsewhere was read back.")
    drill_seconds = models.FloatField(null=True, help_text="How long that took.")

    objects = BackupQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="verified") | Q(verified_at__isnull=False),
                name="maintenance_verified_has_time",
            )
        ]
        indexes = [
            models.Index(
                fields=["purpose", "-sequence"],
                condition=~Q(state="removed"),
                name="maintenance_backup_present",
            )
        ]

    def __str__(self) -> str:
        return self.backup_id

    @property
    def manifest_file(self) -> Path:
        """Where the manifest lies."""
        return Path(from_printable(self.manifest_path))

    @property
    def directory(self) -> Path:
        """The directory that is this backup."""
        return self.manifest_file.parent

    @property
    def state_if_whole(self) -> str:
        """What it is once it was read back: an oddity stays until somebody accepts it."""
        return self.State.SUSPECT if self.anomaly else self.State.VERIFIED

    @property
    def suspicion(self) -> str:
        """What is odd about it and what to do, '' if nothing is."""
        if not self.anomaly:
            return ""
        return (
            f"{self.backup_id} is suspect ({self.anomaly}): look at it, then "
            f"`manage.py verify_backup {self.backup_id} --accept` if that is right"
        )

    @property
    def is_intact(self) -> bool:
        """Whether it is verified and its files are in place, by size; verify says more."""
        if self.state != self.State.VERIFIED or not self.manifest_file.is_file():
            return False
        if not self.archive_name:
            return (self.directory / TREE_NAME).is_dir()
        archive = self.directory / self.archive_name
        return archive.is_file() and archive.stat().st_size == self.stored_bytes

    def read_manifest(self) -> Manifest:
        """Return its manifest; raise ManifestError where it is not the one that was recorded."""
        manifest = Manifest.read(self.manifest_file)
        if manifest.sha256 != self.manifest_sha256:
            raise ManifestError(f"{self.backup_id} has not the manifest that was recorded")
        return manifest

    def note(self, **facts: Any) -> None:
        """Write what became known about it; one that was removed meanwhile stays that."""
        for name, value in facts.items():
            setattr(self, name, value)
        Backup.objects.present().filter(pk=self.pk).update(**facts)

    @classmethod
    def of(cls, manifest: Manifest, *, sequence: int) -> "Backup":
        """Return the unsaved row that `manifest` describes."""
        header, totals = manifest.header, manifest.totals
        archive = totals.stored.archive
        return cls(
            backup_id=header.backup_id,
            sequence=sequence,
            strategy=header.strategy,
            purpose=header.purpose,
            backup_root=printable(str(manifest.path.parent.parent)),
            source_root=printable(header.source_root),
            manifest_path=printable(str(manifest.path)),
            manifest_sha256=manifest.sha256,
            previous_sha256=header.previous_sha256 or "",
            archive_name=archive.name if archive else "",
            archive_sha256=archive.sha256 if archive else "",
            stored_bytes=totals.stored.stored_bytes,
            changed_count=totals.stored.changed_count,
            file_count=totals.file_count,
            total_bytes=totals.total_bytes,
            skipped_count=totals.skipped_count,
            is_partial=header.is_partial,
            tool=printable(header.tool)[:100],
            created_at=header.created_at,
        )


class BackupHold(models.Model):
    """While it lasts no rule removes the backup."""

    backup = models.ForeignKey(Backup, on_delete=models.PROTECT, related_name="holds")
    owner = models.CharField(max_length=100, help_text="Who wants it kept.")
    reason = models.CharField(max_length=200)
    placed_at = models.DateTimeField(auto_now_add=True)
    until = models.DateTimeField(null=True, blank=True, help_text="Empty: until it is deleted.")

    def __str__(self) -> str:
        return f"{self.owner}: {self.reason}"

    def clean(self) -> None:
        """Refuse a hold that is over before it begins."""
        super().clean()
        if self.until is not None and not self.lasts(timezone.now()):
            raise ValidationError({"until": "That is over already: the backup would not be held."})

    def lasts(self, now: datetime) -> bool:
        """Whether it has not run out."""
        return self.until is None or self.until > now


class BackupKeeping(EnabledPolicy):
    """How many backups are kept."""

    last = models.PositiveIntegerField(default=24, help_text="The newest copies of a dataset.")
    daily = models.PositiveIntegerField(default=7, help_text="Days of which the newest is kept.")
    weekly = models.PositiveIntegerField(default=4)
    monthly = models.PositiveIntegerField(default=12)
    yearly = models.PositiveIntegerField(default=0)
    within_days = models.PositiveIntegerField(default=0, help_text="All that are no older.")
    minimum = models.PositiveIntegerField(
        default=1, help_text="So many verified copies stay, whatever the rules say. At least 1."
    )
    deleted_copies_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="After so many days the only copies of deleted files go as well. Empty: never.",
    )

    class Meta:
        verbose_name_plural = "backup keeping"
        constraints = [one_enabled("maintenance_one_enabled_keeping")]

    def as_policy(self) -> KeepingPolicy:
        """Return the policy as a value; raise PolicyError."""
        return KeepingPolicy(
            last=self.last,
            daily=self.daily,
            weekly=self.weekly,
            monthly=self.monthly,
            yearly=self.yearly,
            within_days=self.within_days,
            minimum=self.minimum,
            deleted_copies_days=self.deleted_copies_days,
        )


def current_keeping() -> KeepingPolicy | None:
    """Return the enabled policy, or the defaults if there is no row at all.

    None if there are rows and none is enabled: then no backup is removed. Raises PolicyError.
    """
    row = BackupKeeping.counting()
    return row.as_policy() if row else None
