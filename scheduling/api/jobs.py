"""Jobs over REST: create, look at, change, delete, run now, pause, resume, report."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Body, Query, Router, Status

from scheduling.actions.change_job import UNCHANGED, change_job
from scheduling.actions.create_job import NewJob, create_job
from scheduling.actions.delete_job import delete_job
from scheduling.actions.pause_job import pause_job
from scheduling.actions.report_run import report_last_run
from scheduling.actions.resume_job import resume_job
from scheduling.actions.trigger_run import open_startup_run, trigger_run
from scheduling.api.auth import ADMIN, OPERATE, READ, operator_of
from scheduling.api.etags import IfMatch, etag_of, unless_changed
from scheduling.api.explain_shapes import ExplanationOut
from scheduling.api.job_shapes import (
    JobDefinition,
    JobFields,
    JobIn,
    JobOut,
    PauseJob,
    RunNow,
    RunOut,
)
from scheduling.api.lookups import named_office
from scheduling.api.report_shapes import LastRun, LastRunOut, StartupIn, StartupOut
from scheduling.api.shapes import CONFLICTS, REFUSALS, IdempotencyKey, Page, Problem
from scheduling.api.timing import Timing
from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.engine.schedules import Schedule
from scheduling.errors import InvalidJob, UnknownJob
from scheduling.explain.job import explain_job, explain_jobs
from scheduling.models import Job, Office, Pause, ScheduleEpoch
from scheduling.models.office import DEFAULT_OFFICE
from scheduling.states import RunState
from scheduling.storable import storable

OF_A_NEW_JOB = ("task", "params", "queue", "description", "enabled", "reschedule_mode")

router = Router(tags=["jobs"])


@router.get("/jobs", auth=READ, response={200: list[JobOut], **REFUSALS})
def list_jobs(request: HttpRequest, page: Query[Page]) -> list[JobOut]:
    """List the scope's jobs by id."""
    del request
    jobs = list(_jobs().order_by("job_id")[page.offset : page.offset + page.limit])
    explained = explain_jobs(jobs, now=database_now())
    return [JobOut.standing(job, found) for job, found in zip(jobs, explained, strict=True)]


@router.post("/jobs", auth=ADMIN, response={201: JobOut, **CONFLICTS})
def create(request: HttpRequest, body: JobIn, response: HttpResponse) -> Status[JobOut]:
    """Create a job; one without a `task` sends JSON messages to foreign workers."""
    _require_own_scope(body.scope)
    now = database_now()
    present = Timing(cron_expr=None, every=None, zone=conf.SCHEDULER_TIMEZONE, mode="scheduler")
    timing = body.timing(present)
    policy = {**body.fields(given_only=False), "office": _office(body.office_id)}
    named = {name: policy.pop(name) for name in OF_A_NEW_JOB if name in policy}
    new = NewJob(
        scope=conf.SCHEDULER_SCOPE,
        job_id=body.job_id,
        schedule=timing.schedule(now),
        next_delay=timing.next_delay,
        policy=policy,
        **named,
    )
    create_job(new, operator_of(request))
    return Status(201, _told(body.job_id, response, warnings=timing.warnings(now)))


@router.put("/jobs/{job_id}", auth=ADMIN, response={200: JobOut, **CONFLICTS, 412: Problem})
def change(
    request: HttpRequest,
    job_id: str,
    body: JobFields,
    response: HttpResponse,
    if_match: IfMatch = None,
) -> JobOut:
    """Change what the body names; the rest stays as it is, and so do runs that were made.

    With `If-Match` only what still is as it was then: 412 otherwise.
    """
    job, now = _job(job_id), database_now()
    present = Timing.of(job)
    timing = body.timing(present)
    changes = body.fields(given_only=True)
    if "office_id" in body.model_fields_set:
        changes["office"] = _office(body.office_id)
    schedule: Schedule | object | None = UNCHANGED
    if timing != present:
        schedule = _bounded(timing.schedule(now), job)
        changes["next_delay"] = timing.next_delay
    check = _unless_changed(if_match, job_id)
    change_job(job, operator_of(request), changes, schedule=schedule, check=check)
    return _told(job_id, response, warnings=timing.warnings(now))


@router.delete("/jobs/{job_id}", auth=ADMIN, response={204: None, **CONFLICTS, 412: Problem})
def delete(request: HttpRequest, job_id: str, if_match: IfMatch = None) -> Status[None]:
    """Delete a job: what waits is cancelled, what runs finishes, its ledger stays."""
    delete_job(_job(job_id), operator_of(request), check=_unless_changed(if_match, job_id))
    return Status(204, None)


@router.get("/jobs/{job_id}", auth=READ, response={200: JobOut, **REFUSALS})
def get_job(request: HttpRequest, job_id: str, response: HttpResponse) -> JobOut:
    """Return one job, with an ETag of its definition for a change that follows."""
    del request
    return _told(job_id, response)


@router.get("/jobs/{job_id}/explain", auth=READ, response={200: ExplanationOut, **REFUSALS})
def explain(request: HttpRequest, job_id: str) -> ExplanationOut:
    """Say why the job is not running: what holds it back, since when, and what would open it."""
    del request
    return ExplanationOut.of(explain_job(_job(job_id), now=database_now()))


@router.post("/jobs/{job_id}/run-now", auth=OPERATE, response={202: RunOut, **CONFLICTS})
def run_now(
    request: HttpRequest,
    job_id: str,
    body: Annotated[RunNow | None, Body()] = None,
    idempotency_key: IdempotencyKey = None,
) -> Status[RunOut]:
    """Open a manual run; it does not move the schedule."""
    job = _job(job_id)
    run = trigger_run(
        job,
        operator_of(request),
        params=body.params if body else None,
        idempotency_key=idempotency_key,
    )
    return Status(202, RunOut.of(run, job))


@router.post("/jobs/{job_id}/pause", auth=OPERATE, response={200: JobOut, **REFUSALS})
def pause(
    request: HttpRequest,
    job_id: str,
    response: HttpResponse,
    body: Annotated[PauseJob | None, Body()] = None,
) -> JobOut:
    """Pause the job until an instant, or until it is resumed."""
    wish = body or PauseJob()
    pause_job(_job(job_id), operator_of(request), reason=wish.reason, until=wish.until)
    return _told(job_id, response)


@router.post("/jobs/{job_id}/resume", auth=OPERATE, response={200: JobOut, **REFUSALS})
def resume(request: HttpRequest, job_id: str, response: HttpResponse) -> JobOut:
    """End the job's pause."""
    resume_job(_job(job_id), operator_of(request))
    return _told(job_id, response)


@router.post("/jobs/{job_id}/last-run", auth=OPERATE, response={200: LastRunOut, **CONFLICTS})
def last_run(
    request: HttpRequest, job_id: str, body: Annotated[LastRun | None, Body()] = None
) -> LastRunOut:
    """Report the end of the job's oldest open run, as a foreign worker does that tells no more.

    Where none is open it only sets the job's last status.
    """
    del request
    told = body or LastRun()
    _require_own_scope(told.scope)
    job, report = _job(job_id), told.report()
    run = report_last_run(job, report)
    return LastRunOut(
        job_id=job.job_id,
        run_id=str(run.pk) if run else None,
        status=RunState.DONE if report.done else RunState.FAILED,
    )


@router.post("/jobs/{job_id}/startup-oneshot", auth=OPERATE, response={200: StartupOut, **REFUSALS})
def startup_oneshot(request: HttpRequest, job_id: str, body: StartupIn) -> StartupOut:
    """Open the run of a foreign worker's start, once for each `boot_id`."""
    run = open_startup_run(_job(job_id), operator_of(request), boot_id=body.boot_id)
    return StartupOut(run_id=str(run.pk) if run else None)


def _jobs() -> QuerySet[Job]:
    jobs = Job.objects.in_scope(conf.SCHEDULER_SCOPE)
    with_rows = jobs.select_related("status", "office", "schedule__crontab", "schedule__interval")
    return with_rows.prefetch_related(
        Prefetch("pauses", Pause.objects.active()),
        Prefetch("epochs", ScheduleEpoch.objects.filter(to_at=None)),
    )


def _office(office_id: str | None) -> Office | None:
    """Return the office of an id; None is the default one. Raises UnknownOffice."""
    return None if office_id in {None, DEFAULT_OFFICE} else named_office(office_id or "")


def _require_own_scope(scope: str | None) -> None:
    own = conf.SCHEDULER_SCOPE
    if scope not in {None, own}:
        raise InvalidJob("scope", f"{scope!r} is not this scheduler's: it serves {own!r}")


def _told(job_id: str, response: HttpResponse, *, warnings: Sequence[str] = ()) -> JobOut:
    job = _job(job_id)
    response["ETag"] = etag_of(JobDefinition.of(job))
    return JobOut.standing(job, explain_job(job, now=database_now()), warnings=warnings)


def _unless_changed(if_match: str | None, job_id: str) -> Callable[[Job], None]:
    check = unless_changed(if_match, f"job {job_id!r}")
    return lambda locked: check(JobDefinition.of(locked))


def _bounded(schedule: Schedule | None, job: Job) -> Schedule | None:
    """Keep the bounds that the periodic task has: the API does not tell them."""
    if schedule is None or job.schedule is None:
        return schedule
    return replace(schedule, starts_at=job.schedule.start_time, ends_at=job.schedule.expires)


def _job(job_id: str) -> Job:
    found = _jobs().filter(job_id=storable(job_id)).first()
    if found is None:
        raise UnknownJob(conf.SCHEDULER_SCOPE, job_id)
    return found
