"""Runs in the admin: every line of the ledger to read; cancel and retry as actions."""

from collections.abc import Callable, Collection
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.retry_runs import retry_runs
from scheduling.admin.operator import operator_of
from scheduling.admin.read_only import ReadOnly
from scheduling.models import Attempt, Run


class AttemptInline(ReadOnly, admin.TabularInline[Attempt, Run]):
    """Every try of the run."""

    model = Attempt
    extra = 0
    fields = (
        *("number", "worker", "started_at", "finished_at", "outcome", "error_code", "error"),
        *("stop_requested_at", "stop_delivered_at", "gone_at"),
    )


@admin.register(Run)
class RunAdmin(ReadOnly, admin.ModelAdmin[Run]):
    """One line of the ledger."""

    list_display = (
        "id",
        "job",
        "scheduled_for",
        "trigger",
        "state",
        "reason",
        "attempt",
        "started_at",
        "finished_at",
    )
    list_filter = ("scope", "office", "state", "trigger", "reason")
    search_fields = ("id", "job__job_id", "task", "queue", "error_code")
    list_select_related = ("job",)
    date_hierarchy = "created_at"
    ordering = ("-id",)
    inlines = (AttemptInline,)
    actions = ("cancel", "retry")
    show_full_result_count = False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whoever may change jobs may cancel and retry their runs; nobody edits a run."""
        return request.user.has_perm("scheduling.change_job")

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Cancel those that have not ended; one that runs ends when its process is gone."""
        done = "cancelled, or stopping until they are gone"
        self._act(request, queryset, cancel_runs, done, "not cancelled, as they have ended")

    @admin.action(description="Retry", permissions=["operate"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        """Let those that ran and ended go on with another attempt."""
        unfit = "not opened again: only done, failed, timed-out and cancelled runs can be"
        self._act(request, queryset, retry_runs, "opened again", unfit)

    def _act(
        self,
        request: HttpRequest,
        queryset: QuerySet[Run],
        action: Callable[[Collection[UUID], Operator], list[Run]],
        done: str,
        unfit: str,
    ) -> None:
        chosen = list(queryset.values_list("pk", flat=True))
        runs = action(chosen, operator_of(request))
        if runs:
            self.message_user(request, f"Runs {done}: {len(runs)}.", messages.SUCCESS)
        if left := len(chosen) - len(runs):
            self.message_user(request, f"Runs {unfit}: {left}.", messages.WARNING)
