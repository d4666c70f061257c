"""The admin's view of what was measured: to read, never to edit."""

from django.contrib import admin

from monitoring.models import DashboardSnapshot, ProbeSample
from scheduling.admin.read_only import ReadOnly


@admin.register(ProbeSample)
class ProbeSampleAdmin(ReadOnly, admin.ModelAdmin[ProbeSample]):
    """The history of the probes."""

    list_display = ("probe", "scope", "at", "ok", "latency_seconds", "detail")
    list_filter = ("scope", "probe", "ok")
    date_hierarchy = "at"
    ordering = ("-at",)
    show_full_result_count = False


@admin.register(DashboardSnapshot)
class DashboardSnapshotAdmin(ReadOnly, admin.ModelAdmin[DashboardSnapshot]):
    """The figures behind the status page."""

    list_display = ("scope", "computed_at")
