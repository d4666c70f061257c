"""Jobs over REST: list, look at, run now, pause, resume."""

from typing import Annotated

from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from ninja import Body, Query, Router, Status

from scheduling.actions.pause_job import pause_job
from scheduling.actions.resume_job import resume_job
from scheduling.actions.trigger_run import trigger_run
from scheduling.api.auth import OPERATE, READ, operator_of
from scheduling.api.explain_shapes import ExplanationOut
from scheduling.api.shapes import REFUSALS, IdempotencyKey, JobOut, Page, PauseJob, RunNow, RunOut
from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.errors import UnknownJob
from scheduling.explain.job import explain_job, explain_jobs
from scheduling.models import Job, Pause, ScheduleEpoch
from scheduling.storable import storable

router = Router(tags=["jobs"])


@router.get("/jobs", auth=READ, response={200: list[JobOut], **REFUSALS})
def list_jobs(request: HttpRequest, page: Query[Page]) -> list[JobOut]:
    """List the scope's jobs by id."""
    del request
    jobs = list(_jobs().order_by("job_id")[page.offset : page.offset + page.limit])
    explained = explain_jobs(jobs, now=database_now())
    return [JobOut.of(job, found) for job, found in zip(jobs, explained, strict=True)]


@router.get("/jobs/{job_id}", auth=READ, response={200: JobOut, **REFUSALS})
def get_job(request: HttpRequest, job_id: str) -> JobOut:
    """Return one job."""
    del request
    return _told(_job(job_id))


@router.get("/jobs/{job_id}/explain", auth=READ, response={200: ExplanationOut, **REFUSALS})
def explain(request: HttpRequest, job_id: str) -> ExplanationOut:
    """Say why the job is not running: what holds it back, since when, and what would open it."""
    del request
    return ExplanationOut.of(explain_job(_job(job_id), now=database_now()))


@router.post("/jobs/{job_id}/run-now", auth=OPERATE, response={202: RunOut, **REFUSALS})
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
    request: HttpRequest, job_id: str, body: Annotated[PauseJob | None, Body()] = None
) -> JobOut:
    """Pause the job until an instant, or until it is resumed."""
    wish = body or PauseJob()
    pause_job(_job(job_id), operator_of(request), reason=wish.reason, until=wish.until)
    return _told(_job(job_id))


@router.post("/jobs/{job_id}/resume", auth=OPERATE, response={200: JobOut, **REFUSALS})
def resume(request: HttpRequest, job_id: str) -> JobOut:
    """End the job's pause."""
    resume_job(_job(job_id), operator_of(request))
    return _told(_job(job_id))


def _jobs() -> QuerySet[Job]:
    jobs = Job.objects.in_scope(conf.SCHEDULER_SCOPE)
    return jobs.select_related("status").prefetch_related(
        Prefetch("pauses", Pause.objects.active()),
        Prefetch("epochs", ScheduleEpoch.objects.filter(to_at=None)),
    )


def _told(job: Job) -> JobOut:
    return JobOut.of(job, explain_job(job, now=database_now()))


def _job(job_id: str) -> Job:
    found = _jobs().filter(job_id=storable(job_id)).first()
    if found is None:
        raise UnknownJob(conf.SCHEDULER_SCOPE, job_id)
    return found
