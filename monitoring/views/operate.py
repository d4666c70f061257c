"""The buttons of a job: run now, pause, resume."""

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from monitoring.views import access
from monitoring.views.status import render_board
from scheduling.actions.audit import Operator
from scheduling.actions.pause_job import pause_job
from scheduling.actions.resume_job import resume_job
from scheduling.actions.trigger_run import trigger_run
from scheduling.errors import SchedulingError
from scheduling.models import Job

DOOR = "page"


@require_POST
@access.operator
def run_now(request: HttpRequest, job_pk: int) -> HttpResponse:
    """Queue one run, outside the schedule."""
    return _operate(request, job_pk, _run_now)


@require_POST
@access.operator
def pause(request: HttpRequest, job_pk: int) -> HttpResponse:
    """Stop planning the job until it is resumed."""
    return _operate(request, job_pk, _pause)


@require_POST
@access.operator
def resume(request: HttpRequest, job_pk: int) -> HttpResponse:
    """Plan the job again."""
    return _operate(request, job_pk, _resume)


def _operate(
    request: HttpRequest, job_pk: int, act: Callable[[Job, Operator], str]
) -> HttpResponse:
    """Act on the job and show what became of it; by a message where JavaScript is off."""
    job = get_object_or_404(Job, pk=job_pk, scope=settings.SCHEDULER_SCOPE, deleted_at=None)
    try:
        notice, code = act(job, Operator(actor=request.user.get_username(), door=DOOR)), 200
    except SchedulingError as error:
        notice, code = str(error), 409
    if request.headers.get("HX-Request") == "true":
        return render_board(request, "monitoring/_operated.html", notice=notice, code=code)
    messages.add_message(request, messages.INFO if code == 200 else messages.ERROR, notice)  # noqa: PLR2004
    return redirect("status")


def _run_now(job: Job, operator: Operator) -> str:
    run = trigger_run(job, operator)
    return f"{job.job_id}: run {run.pk} is on its way."


def _pause(job: Job, operator: Operator) -> str:
    pause_job(job, operator)
    return f"{job.job_id} is paused until somebody resumes it."


def _resume(job: Job, operator: Operator) -> str:
    resume_job(job, operator)
    return f"{job.job_id} is planned again."
