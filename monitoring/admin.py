"""The admin's view of what was measured: to read, never to edit."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from monitoring.models import DashboardSnapshot, ProbeSample


class MeasuredAdmin(admin.ModelAdmin[Any]):
    """Measurements are history: nobody adds, changes or deletes them by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: rows come from measuring."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False: a measurement does not change afterwards."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False: old rows go by age."""
        del request, obj
        return False


@admin.register(ProbeSample)
class ProbeSampleAdmin(MeasuredAdmin):
    """The history of the probes."""

    list_display = ("probe", "scope", "at", "ok", "latency_seconds", "detail")
    list_filter = ("scope", "probe", "ok")
    date_hierarchy = "at"
    ordering = ("-at",)
    show_full_result_count = False


@admin.register(DashboardSnapshot)
class DashboardSnapshotAdmin(MeasuredAdmin):
    """The figures behind the status page."""

    list_display = ("scope", "computed_at")
