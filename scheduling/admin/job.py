"""Jobs in the admin: their policy to edit, and run-now, pause, resume, reset as actions."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from scheduling.actions.audit import Operator
from scheduling.actions.change_policy import POLICY_FIELDS, change_policy
from scheduling.actions.pause_job import pause_job
from scheduling.actions.reset_breaker import reset_breaker
from scheduling.actions.resume_job import resume_job
from scheduling.actions.trigger_run import trigger_run
from scheduling.admin.operator import operator_of
from scheduling.admin.read_only import ReadOnly
from scheduling.errors import SchedulingError
from scheduling.models import Job, Pause


class PauseInline(ReadOnly, admin.TabularInline[Pause, Job]):
    """Who paused the job, when and why."""

    model = Pause
    extra = 0


@admin.register(Job)
class JobAdmin(admin.ModelAdmin[Job]):
    """When and what a job runs is edited on its periodic task; how, here."""

    list_display = (
        "job_id",
        "scope",
        "task",
        "queue",
        "enabled",
        "next_due_at",
        "last_status",
        "consecutive_errors",
    )
    list_filter = ("scope", "enabled", "status__last_status")
    search_fields = ("job_id", "task", "queue", "description")
    list_select_related = ("status",)
    inlines = (PauseInline,)
    actions = ("run_now", "pause", "resume", "reset_breaker")
    fieldsets = (
        (None, {"fields": ("scope", "job_id", "periodic_task", "description")}),
        ("Work", {"fields": ("task", "args", "params", "queue", "enabled", "adopted")}),
        (
            "State",
            {"fields": ("next_due_at", "planned_until", "schedule_error", "last_status")},
        ),
        ("Policy", {"fields": tuple(name for name in POLICY_FIELDS if name != "description")}),
    )

    readonly_fields = (
        *("scope", "job_id", "periodic_task", "task", "args", "params", "queue", "enabled"),
        *("adopted", "next_due_at", "planned_until", "schedule_error", "last_status"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A new periodic task becomes a job by itself."""
        del request
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        """The ledger refers to its jobs for ever."""
        del request, obj
        return False

    def save_model(
        self,
        request: HttpRequest,
        obj: Job,
        form: ModelForm[Job],
        change: bool,  # noqa: FBT001 the signature is Django's
    ) -> None:
        """Hand the changed fields to the action that every door calls."""
        del change
        changes = {name: form.cleaned_data[name] for name in form.changed_data}
        change_policy(obj, operator_of(request), changes)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the form again when the action refuses: nothing was changed, and nothing logged."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except SchedulingError as error:
            self.message_user(request, f"Nothing was changed. {error}", messages.ERROR)
            return HttpResponseRedirect(request.path)

    @admin.display(description="periodic task")
    def periodic_task(self, job: Job) -> str:
        """Link to the row that says when the job runs."""
        if job.schedule is None:
            return "none: this job has no schedule"
        url = reverse("admin:django_celery_beat_periodictask_change", args=[job.schedule.pk])
        return format_html('<a href="{}">{}</a>', url, job.schedule)

    @admin.display(ordering="status__last_status")
    def last_status(self, job: Job) -> str:
        """How its last attempt ended."""
        return job.status.last_status or "never ran"

    @admin.display(ordering="status__consecutive_errors")
    def consecutive_errors(self, job: Job) -> int:
        """Failed attempts in a row."""
        return job.status.consecutive_errors

    @admin.action(description="Run now", permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Open a manual run of each job."""
        _for_each(self, request, queryset, "run opened", trigger_run)

    @admin.action(description="Pause until resumed", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Pause each job without an end."""
        _for_each(self, request, queryset, "paused", pause_job)

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """End each job's pause."""
        _for_each(self, request, queryset, "resumed", resume_job)

    @admin.action(description="Reset the breaker", permissions=["change"])
    def reset_breaker(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Forget each job's failures in a row."""
        _for_each(self, request, queryset, "failures forgotten", reset_breaker)


def _for_each(
    model_admin: JobAdmin,
    request: HttpRequest,
    jobs: QuerySet[Job],
    done: str,
    action: Callable[[Job, Operator], Any],
) -> None:
    for job in jobs:
        try:
            action(job, operator_of(request))
        except SchedulingError as error:
            model_admin.message_user(request, f"{job}: {error}", messages.ERROR)
        else:
            model_admin.message_user(request, f"{job}: {done}", messages.SUCCESS)
