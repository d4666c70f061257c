"""Offices over REST: create, submit work, look at it, cancel and retry it."""

from typing import Annotated
from uuid import UUID

from django.db.models import Avg, Count, F
from django.http import HttpRequest
from ninja import Header, Path, Query, Router, Status

from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.offices.cancel_all import cancel_all
from scheduling.actions.offices.change_office import change_office
from scheduling.actions.offices.change_waiting import change_waiting
from scheduling.actions.offices.create_office import NewOffice, create_office
from scheduling.actions.offices.submit_work import submit_work
from scheduling.actions.retry_runs import retry_runs
from scheduling.api.auth import TokenAuth, operator_of
from scheduling.api.jobs import REFUSALS
from scheduling.api.office_shapes import (
    ConfigIn,
    ConfigOut,
    NewOfficeIn,
    OfficeIn,
    OfficeOut,
    StatsOut,
)
from scheduling.api.shapes import Problem
from scheduling.api.work_shapes import (
    CancelledOut,
    HandOverIn,
    OfficeRunDetail,
    OfficeRunOut,
    PriorityIn,
    RunFilter,
    SubmissionOut,
    WorksIn,
)
from scheduling.conf import conf
from scheduling.dependencies import execution_order
from scheduling.errors import NotPossible, UnknownOffice, UnknownRun
from scheduling.models import Office, Run
from scheduling.models.token import Access
from scheduling.states import HOLDING_SLOT, RunState
from scheduling.storable import storable

READ = TokenAuth(Access.READ)
OPERATE = TokenAuth(Access.OPERATE)
ADMIN = TokenAuth(Access.ADMIN)
CONFLICTS = {**REFUSALS, 409: Problem}

OfficeId = Annotated[str, Path(max_length=64)]

router = Router(tags=["offices"])


@router.get("", auth=READ, response={200: list[OfficeOut], **REFUSALS})
def list_offices(request: HttpRequest) -> list[OfficeOut]:
    """List the scope's offices by id."""
    del request
    offices = Office.objects.in_scope(conf.SCHEDULER_SCOPE).order_by("office_id")
    return [OfficeOut.of(office) for office in offices]


@router.post("", auth=ADMIN, response={201: OfficeOut, **CONFLICTS})
def create(request: HttpRequest, body: NewOfficeIn) -> Status[OfficeOut]:
    """Create an office with the roles and limits of seed 004."""
    new = NewOffice(
        scope=conf.SCHEDULER_SCOPE,
        office_id=body.office_id,
        name=body.name,
        max_concurrent=body.max_concurrent_jobs,
    )
    return Status(201, OfficeOut.of(create_office(new, operator_of(request))))


@router.get("/{office_id}", auth=READ, response={200: OfficeOut, **REFUSALS})
def get_office(request: HttpRequest, office_id: OfficeId) -> OfficeOut:
    """Return one office."""
    del request
    return OfficeOut.of(_office(office_id))


@router.patch("/{office_id}", auth=OPERATE, response={200: OfficeOut, **REFUSALS})
def change_state(request: HttpRequest, office_id: OfficeId, body: OfficeIn) -> OfficeOut:
    """Pause, archive or activate an office, or rename it; what runs finishes in any case."""
    changes = body.model_dump(exclude_unset=True, exclude_none=True)
    return OfficeOut.of(change_office(_office(office_id), operator_of(request), changes))


@router.get("/{office_id}/scheduler/config", auth=READ, response={200: ConfigOut, **REFUSALS})
def get_config(request: HttpRequest, office_id: OfficeId) -> ConfigOut:
    """Return the office's limits and policy."""
    del request
    return ConfigOut.of(_office(office_id))


@router.patch("/{office_id}/scheduler/config", auth=ADMIN, response={200: ConfigOut, **REFUSALS})
def change_config(request: HttpRequest, office_id: OfficeId, body: ConfigIn) -> ConfigOut:
    """Change limits and policy; they hold for whatever starts next."""
    office = change_office(
        _office(office_id), operator_of(request), body.of_office(), roles=body.of_roles()
    )
    return ConfigOut.of(office)


@router.get("/{office_id}/scheduler/stats", auth=READ, response={200: StatsOut, **REFUSALS})
def stats(request: HttpRequest, office_id: OfficeId) -> StatsOut:
    """Count the office's runs by state."""
    del request
    runs = Run.objects.of_office(_office(office_id)).order_by()
    counts = dict(runs.values_list("state").annotate(Count("id")))
    done = runs.filter(state=RunState.DONE, started_at__isnull=False)
    average = done.aggregate(time=Avg(F("finished_at") - F("started_at")))["time"]
    states = ("pending", "ready", "done", "failed", "cancelled", "timeout")
    return StatsOut(
        **{state: counts.get(state, 0) for state in states},
        processing=sum(counts.get(state, 0) for state in HOLDING_SLOT),
        avg_completion_time=average.total_seconds() if average is not None else None,
    )


@router.post("/{office_id}/jobs", auth=OPERATE, response={201: SubmissionOut, **CONFLICTS})
def submit(
    request: HttpRequest,
    office_id: OfficeId,
    body: WorksIn,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=100)] = None,
) -> Status[SubmissionOut]:
    """Submit work, all of it or nothing; the same Idempotency-Key gives the same submission."""
    works = [item.work() for item in body.jobs]
    submission = submit_work(
        _office(office_id), works, operator_of(request), idempotency_key=idempotency_key
    )
    runs = Run.objects.filter(submission=submission).order_by("id").values_list("name", "id")
    return Status(
        201,
        SubmissionOut(
            submission_id=str(submission.pk),
            jobs={name: str(pk) for name, pk in runs},
            execution_order=execution_order({work.key: work.depends_on for work in works}),
        ),
    )


@router.get("/{office_id}/jobs", auth=READ, response={200: list[OfficeRunOut], **REFUSALS})
def list_runs(
    request: HttpRequest, office_id: OfficeId, wanted: Query[RunFilter]
) -> list[OfficeRunOut]:
    """List the office's runs, the newest first."""
    del request
    runs = Run.objects.of_office(_office(office_id)).filter(**wanted.conditions()).order_by("-id")
    page = runs[wanted.offset : wanted.offset + wanted.limit]
    return [OfficeRunOut(**OfficeRunOut.fields_of(run)) for run in page]


@router.get(
    "/{office_id}/jobs/{uuid:run_id}", auth=READ, response={200: OfficeRunDetail, **REFUSALS}
)
def get_run(request: HttpRequest, office_id: OfficeId, run_id: UUID) -> OfficeRunDetail:
    """Return one run with its attempts and what it depends on."""
    del request
    return _detail(_run(office_id, run_id))


@router.post(
    "/{office_id}/jobs/{uuid:run_id}/cancel",
    auth=OPERATE,
    response={200: OfficeRunDetail, **CONFLICTS},
)
def cancel(request: HttpRequest, office_id: OfficeId, run_id: UUID) -> OfficeRunDetail:
    """Cancel a run: one that runs is `stopping` until its process is gone."""
    run = _run(office_id, run_id)
    if not cancel_runs([run.pk], operator_of(request)):
        raise NotPossible(f"run {run.pk} is {_run(office_id, run_id).state}: it has ended")
    return _detail(_run(office_id, run_id))


@router.post(
    "/{office_id}/jobs/{uuid:run_id}/retry",
    auth=OPERATE,
    response={200: OfficeRunDetail, **CONFLICTS},
)
def retry(request: HttpRequest, office_id: OfficeId, run_id: UUID) -> OfficeRunDetail:
    """Run a run that has ended again, and what was cancelled with it."""
    run = _run(office_id, run_id)
    if not retry_runs([run.pk], operator_of(request)):
        raise NotPossible(
            f"run {run.pk} is {run.state} {run.reason}".strip()
            + ": only a run that has ended can be retried, and one that was cancelled for another "
            "comes back with that other"
        )
    return _detail(_run(office_id, run_id))


@router.post("/{office_id}/jobs/cancel-all", auth=OPERATE, response={200: CancelledOut, **REFUSALS})
def cancel_everything(
    request: HttpRequest, office_id: OfficeId, submission_id: UUID | None = None
) -> CancelledOut:
    """Cancel all that is open in the office, or in one submission."""
    office = _office(office_id)
    return CancelledOut(
        cancelled=cancel_all(office, operator_of(request), submission_id=submission_id)
    )


@router.patch(
    "/{office_id}/jobs/{uuid:run_id}/priority",
    auth=OPERATE,
    response={200: OfficeRunDetail, **CONFLICTS},
)
def change_priority(
    request: HttpRequest, office_id: OfficeId, run_id: UUID, body: PriorityIn
) -> OfficeRunDetail:
    """Move waiting work up (a lower number) or down."""
    run = _run(office_id, run_id)
    return _detail(change_waiting(run, operator_of(request), priority=body.priority))


@router.patch(
    "/{office_id}/jobs/{uuid:run_id}", auth=OPERATE, response={200: OfficeRunDetail, **CONFLICTS}
)
def hand_over(
    request: HttpRequest, office_id: OfficeId, run_id: UUID, body: HandOverIn
) -> OfficeRunDetail:
    """Give waiting work to another role or assignee."""
    changes = body.model_dump(exclude_unset=True, exclude_none=True)
    return _detail(change_waiting(_run(office_id, run_id), operator_of(request), **changes))


def _office(office_id: str) -> Office:
    offices = Office.objects.in_scope(conf.SCHEDULER_SCOPE)
    found = offices.filter(office_id=storable(office_id)).first()
    if found is None:
        raise UnknownOffice(conf.SCHEDULER_SCOPE, office_id)
    return found


def _run(office_id: str, run_id: UUID) -> Run:
    run = Run.objects.of_office(_office(office_id)).filter(pk=run_id).first()
    if run is None:
        raise UnknownRun(office_id, str(run_id))
    return run


def _detail(run: Run) -> OfficeRunDetail:
    awaited = run.dependencies.order_by("depends_on").values_list("depends_on", flat=True)
    return OfficeRunDetail.of(run, map(str, awaited))
