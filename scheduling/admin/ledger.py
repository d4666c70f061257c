"""The ledger in the admin, to read, but for its runs: skips, totals, epochs, workers, audit."""

from django.contrib import admin

from scheduling.admin.read_only import ReadOnly
from scheduling.models import (
    AuditEntry,
    LedgerTotal,
    RunEvent,
    ScheduleEpoch,
    SkippedTicks,
    WorkerProcess,
)


@admin.register(SkippedTicks)
class SkippedTicksAdmin(ReadOnly, admin.ModelAdmin[SkippedTicks]):
    """Planned ticks that ended without a run."""

    list_display = ("job", "reason", "count", "after", "until")
    list_filter = ("reason", "job__scope")
    list_select_related = ("job",)
    ordering = ("-until",)


@admin.register(LedgerTotal)
class LedgerTotalAdmin(ReadOnly, admin.ModelAdmin[LedgerTotal]):
    """What is left of pruned history: how many verdicts of which kind a day had."""

    list_display = ("job", "day", "verdict", "count")
    list_filter = ("verdict", "job__scope")
    search_fields = ("job__job_id",)
    list_select_related = ("job",)
    date_hierarchy = "day"
    ordering = ("-day", "job", "verdict")
    show_full_result_count = False


@admin.register(ScheduleEpoch)
class ScheduleEpochAdmin(ReadOnly, admin.ModelAdmin[ScheduleEpoch]):
    """Which recurrence held when."""

    list_display = ("job", "kind", "spec", "from_at", "to_at")
    list_filter = ("kind", "job__scope")
    list_select_related = ("job",)
    ordering = ("-from_at",)


@admin.register(WorkerProcess)
class WorkerProcessAdmin(ReadOnly, admin.ModelAdmin[WorkerProcess]):
    """Workers, alive and gone."""

    list_display = ("hostname", "pid", "scope", "pool", "started_at", "stopped_at", "lost_at")
    list_filter = ("scope", "pool")
    ordering = ("-started_at",)


@admin.register(RunEvent)
class RunEventAdmin(ReadOnly, admin.ModelAdmin[RunEvent]):
    """What was told about runs, in its order."""

    list_display = ("seq", "kind", "run", "attempt", "at")
    list_filter = ("kind", "scope")
    ordering = ("-id",)
    show_full_result_count = False


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly, admin.ModelAdmin[AuditEntry]):
    """What operators did."""

    list_display = ("at", "actor", "door", "action", "target")
    list_filter = ("door", "action")
    search_fields = ("actor", "target")
    date_hierarchy = "at"
    ordering = ("-at",)
