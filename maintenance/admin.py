"""Backups in the admin: to read, to check, to hold, and to say how many are kept."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from maintenance.handing_over import What, hand_over
from maintenance.models import Backup, BackupHold, BackupKeeping, current_keeping
from maintenance.preview import gap_in_words, preview_policies
from maintenance.records import accept_backup
from scheduling.admin.operator import operator_of
from scheduling.errors import SchedulingError

WHICH_COUNTS = (
    "The enabled policy counts. While there are policies and none is enabled, no backup is "
    "removed. Without any policy the defaults count."
)
DOES = {
    "verify": "read back against their manifests",
    "drill": "restored to scratch, compared and removed again",
    "restore": "restored to new directories in RESTORE_ROOT",
}


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
        "strategy",
        "purpose",
        "state",
        "file_count",
        "total_bytes",
        "stored_bytes",
        "created_at",
        "verified_at",
        "drilled_at",
        "copied_at",
    )
    list_filter = ("state", "strategy", "purpose", "created_at")
    search_fields = ("backup_id", "archive_sha256", "source_root")
    ordering = ("-sequence",)
    inlines = (BackupHoldInline,)
    actions = ("verify", "drill", "restore_to_scratch", "accept")
    change_list_template = "maintenance/backup_list.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the page that says what the policies would remove."""
        preview = self.admin_site.admin_view(self.preview)
        own = path("preview/", preview, name="maintenance_backup_preview")
        return [own, *super().get_urls()]

    def preview(self, request: HttpRequest) -> TemplateResponse:
        """Show what the policies would remove now, and why the rest stays."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        now = datetime.now(UTC)
        asked = BackupKeeping.objects.filter(name=request.GET.get("keeping", "")).first()
        told = preview_policies(
            settings.DATASET_ROOT,
            settings.BACKUP_ROOT,
            now=now,
            keeping=asked.as_policy if asked else current_keeping,
        )
        paths = [
            ("Expired in the dataset", told["files"], ""),
            ("Too old by file retention", told["file_retention"], "No file retention is enabled."),
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": "Retention preview",
            "keeping": asked,
            "backups": told["backups"],
            "gap": gap_in_words(told["backups"]),
            "paths": paths,
        }
        return TemplateResponse(request, "maintenance/preview.html", context)

    @admin.action(description="Verify: read back against the manifest", permissions=["change"])
    def verify(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        """Have workers read them back."""
        self._hand_over("verify", request, queryset)

    @admin.action(description="Drill: restore, compare, remove again", permissions=["change"])
    def drill(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        """Have workers prove that they can be restored."""
        self._hand_over("drill", request, queryset)

    @admin.action(description="Restore to scratch", permissions=["change"])
    def restore_to_scratch(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        """Have workers restore them beside the data, for somebody to look at."""
        self._hand_over("restore", request, queryset)

    @admin.action(description="Accept what is odd about them", permissions=["change"])
    def accept(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        """Say that what looked odd is right: cleanups go on with them."""
        odd = [backup for backup in queryset if backup.anomaly]
        for backup in odd:
            accept_backup(backup, operator_of(request))
        self.message_user(request, f"{len(odd)} accepted")

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

    def _hand_over(self, what: What, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        backups = [backup for backup in queryset if backup.state != Backup.State.REMOVED]
        if not backups:
            self.message_user(request, "None of them is there any more", messages.WARNING)
            return
        try:
            office = hand_over(what, backups, operator_of(request))
        except SchedulingError as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        runs = reverse("admin:scheduling_run_changelist") + f"?office__id__exact={office.pk}"
        told = '{} are being {} by the workers: <a href="{}">runs</a>'
        self.message_user(request, format_html(told, len(backups), DOES[what], runs))


@admin.register(BackupKeeping)
class BackupKeepingAdmin(admin.ModelAdmin[BackupKeeping]):
    """Edits what the next maintenance goes by."""

    list_display = ("name", "enabled", "last", "daily", "weekly", "monthly", "updated_at")
    actions = ("preview",)
    fieldsets = (
        (None, {"fields": ("name", "enabled"), "description": WHICH_COUNTS}),
        (
            "Copies of a dataset",
            {"fields": ("last", "daily", "weekly", "monthly", "yearly", "within_days", "minimum")},
        ),
        ("Only copies of deleted files", {"fields": ("deleted_copies_days",)}),
    )

    @admin.action(description="Preview what it would remove")
    def preview(
        self, request: HttpRequest, queryset: QuerySet[BackupKeeping]
    ) -> HttpResponseRedirect | None:
        """Show what would go if it were the enabled one."""
        names = list(queryset.values_list("name", flat=True))
        if len(names) > 1:
            self.message_user(request, "Choose one of them: one counts at a time", messages.WARNING)
            return None
        page = reverse("admin:maintenance_backup_preview")
        return HttpResponseRedirect(f"{page}?{urlencode({'keeping': names[0]})}")
