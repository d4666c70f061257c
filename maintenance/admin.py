"""Backups in the admin: to read, to hold, and to say how many are kept."""

from typing import Any

from django.contrib import admin

from maintenance.models import Backup, BackupHold, BackupKeeping

WHICH_COUNTS = (
    "The enabled policy counts. While there are policies and none is enabled, no backup is "
    "removed. Without any policy the defaults count."
)


class BackupHoldInline(admin.TabularInline[BackupHold, Backup]):
    """Who holds the backup, why, and until when."""

    model = BackupHold
    extra = 0
    fields = ("owner", "reason", "until", "placed_at")
    readonly_fields = ("placed_at",)


@admin.register(Backup)
class BackupAdmin(admin.ModelAdmin[Backup]):
    """Shows what there is, what it holds and whether it could be read back; takes holds."""

    list_display = (
        "backup_id",
        "purpose",
        "state",
        "file_count",
        "total_bytes",
        "archive_bytes",
        "created_at",
        "verified_at",
        "drilled_at",
    )
    list_filter = ("state", "purpose", "created_at")
    search_fields = ("backup_id", "archive_sha256", "source_root")
    ordering = ("-sequence",)
    inlines = (BackupHoldInline,)

    def get_readonly_fields(self, request: Any, obj: Any = None) -> list[str]:
        """What a backup says of itself is nobody's to rewrite."""
        del request, obj
        return [field.name for field in Backup._meta.fields]  # noqa: SLF001 Django's documented name

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        """They are made by commands and jobs."""
        del request, obj
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        """They go by the keeping policy."""
        del request, obj
        return False


@admin.register(BackupKeeping)
class BackupKeepingAdmin(admin.ModelAdmin[BackupKeeping]):
    """Edits what the next maintenance goes by."""

    list_display = ("name", "enabled", "last", "daily", "weekly", "monthly", "updated_at")
    fieldsets = (
        (None, {"fields": ("name", "enabled"), "description": WHICH_COUNTS}),
        (
            "Copies of a dataset",
            {"fields": ("last", "daily", "weekly", "monthly", "yearly", "within_days", "minimum")},
        ),
        ("Only copies of deleted files", {"fields": ("deleted_copies_days",)}),
    )
