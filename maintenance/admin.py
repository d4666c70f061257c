"""Backups in the admin: to read."""

from django.contrib import admin

from maintenance.models import Backup
from scheduling.admin.read_only import ReadOnly


@admin.register(Backup)
class BackupAdmin(ReadOnly, admin.ModelAdmin[Backup]):
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
        "drilled_at",
    )
    list_filter = ("state", "purpose", "created_at")
    search_fields = ("backup_id", "archive_sha256", "source_root")
    ordering = ("-sequence",)
