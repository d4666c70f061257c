"""Retention in the admin: policies to edit, deletions to read."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from retention.models import Deletion, FileRetention, RetentionPolicy

WHICH_COUNTS = (
    "The enabled policy counts. While there are policies and none is enabled, nothing expires and "
    "nothing is deleted. Without any policy the defaults count: raw 7 days, pattern 30 days, "
    "decision for ever."
)


WHICH_FILES_COUNT = (
    "The enabled row counts. While there are rows and none is enabled, nothing is deleted. Without "
    "any row files of DATASET_ROOT are deleted after 7 days, once the job or the command runs."
)


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(admin.ModelAdmin[RetentionPolicy]):
    """Edits what `back_up_and_maintain` reads at its next run."""

    list_display = (
        "name",
        "enabled",
        "raw_snapshot_days",
        "pattern_record_days",
        "decision_snapshot_days",
        "updated_at",
    )
    fieldsets = (
        (None, {"fields": ("name", "enabled"), "description": WHICH_COUNTS}),
        (
            "Kept for days",
            {"fields": ("raw_snapshot_days", "pattern_record_days", "decision_snapshot_days")},
        ),
        ("Known by words", {"fields": ("raw_words", "pattern_words", "decision_words")}),
    )


@admin.register(FileRetention)
class FileRetentionAdmin(admin.ModelAdmin[FileRetention]):
    """Edits what `maintain --path files` and the task `maintain_files` go by."""

    list_display = ("name", "enabled", "data_root", "ttl_days", "updated_at")
    fieldsets = (
        (None, {"fields": ("name", "enabled", "data_root"), "description": WHICH_FILES_COUNT}),
        ("What is deleted", {"fields": ("ttl_days", "include_globs", "exclude_globs")}),
        ("What is backed up before", {"fields": ("backup_globs",)}),
    )


@admin.register(Deletion)
class DeletionAdmin(admin.ModelAdmin[Deletion]):
    """Shows what was deleted, why, and where its copy is."""

    list_display = ("path", "size_bytes", "reason", "backup_id", "deleted_at")
    list_filter = ("deleted_at", "reason")
    search_fields = ("path", "backup_id", "sha256")
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """History is written by the cleaner alone."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """History is read-only."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """History is read-only."""
        del request, obj
        return False
