"""Backups in the admin: to read."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from maintenance.models import Backup


@admin.register(Backup)
class BackupAdmin(admin.ModelAdmin[Backup]):
    """Shows what there is, what it holds and whether it could be read back."""

    list_display = (
        "backup_id",
        "purpose",
        "state",
        "file_count",
        "total_bytes",
        "archive_bytes",
        "created_at",
        "verified_at",
    )
    list_filter = ("state", "purpose", "created_at")
    search_fields = ("backup_id", "archive_sha256", "source_root")
    ordering = ("-sequence",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Backups are made by maintenance alone."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A manifest is history."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A row that went would hide files that are still there."""
        del request, obj
        return False
