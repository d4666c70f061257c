"""The work of offices over REST: submit, list, look at, explain, cancel, retry, change."""

from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Status

from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.extend_deadline import extend_deadline
from scheduling.actions.offices.cancel_all import cancel_all
from scheduling.actions.offices.change_waiting import change_waiting
from scheduling.actions.offices.submit_work import submit_work
from scheduling.actions.offices.work import require_confined
from scheduling.actions.retry_runs import retry_runs
from scheduling.api.auth import OPERATE, READ, is_confined, operator_of
from scheduling.api.explain_shapes import ExplanationOut
from scheduling.api.lookups import OfficeId, named_office, office_of_runs
from scheduling.api.office_shapes import A_MILLISECOND
from scheduling.api.shapes import CONFLICTS, REFUSALS, IdempotencyKey
from scheduling.api.work_shapes import (
    CancelFilter,
    CancelledOut,
    DeadlineIn,
    HandOverIn,
    OfficeRunDetail,
    OfficeRunOut,
    PriorityIn,
    RunFilter,
    SubmissionOut,
    WorksIn,
)
from scheduling.clock import database_now
from scheduling.dependencies import execution_order
from scheduling.errors import NotPossible, UnknownRun
from scheduling.explain.run import explain_run
from scheduling.models import Run
from scheduling.states import RunState

router = Router(tags=["office work"])


@router.post("/{office_id}/jobs", auth=OPERATE, response={201: SubmissionOut, **CONFLICTS})
def submit(
    request: HttpRequest,
    office_id: OfficeId,
    body: WorksIn,
    idempotency_key: IdempotencyKey = None,
) -> Status[SubmissionOut]:
    """Submit work, all of it or nothing; the same Idempotency-Key gives the same submission."""
    works, office = [item.work() for item in body.jobs], named_office(office_id)
    if is_confined(request):
        require_confined(office, works)
    submission = submit_work(office, works, operator_of(request), idempotency_key=idempotency_key)
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
    runs = (
        Run.objects.of_office(office_of_runs(office_id))
        .filter(**wanted.conditions())
        .select_related("job")
        .order_by("-id")
    )
    page = runs[wanted.offset : wanted.offset + wanted.limit]
    return [OfficeRunOut(**OfficeRunOut.fields_of(run)) for run in page]


@router.get(
    "/{office_id}/jobs/{uuid:run_id}", auth=READ, response={200: OfficeRunDetail, **REFUSALS}
)
def get_run(request: HttpRequest, office_id: OfficeId, run_id: UUID) -> OfficeRunDetail:
    """Return one run with its attempts and what it depends on."""
    del request
    return _detail(_run(office_id, run_id))


@router.get(
    "/{office_id}/jobs/{uuid:run_id}/explain",
    auth=READ,
    response={200: ExplanationOut, **REFUSALS},
)
def explain(request: HttpRequest, office_id: OfficeId, run_id: UUID) -> ExplanationOut:
    """Say why a run is not running: what holds it back, since when, and what would open it."""
    del request
    return ExplanationOut.of(explain_run(_run(office_id, run_id), now=database_now()))


@router.post(
    "/{office_id}/jobs/{uuid:run_id}/cancel",
    auth=OPERATE,
    response={200: OfficeRunDetail, **CONFLICTS},
)
def cancel(request: HttpRequest, office_id: OfficeId, run_id: UUID) -> OfficeRunDetail:
    """Cancel a run: one that runs is `stopping` until its process is gone."""
    run = _run(office_id, run_id)
    cancelled = cancel_runs([run.pk], operator_of(request))
    run = _run(office_id, run_id)
    if not cancelled and run.state != RunState.STOPPING:
        raise NotPossible(f"run {run.pk} is {run.state}: it has ended")
    return _detail(run)


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
    request: HttpRequest, office_id: OfficeId, wanted: Query[CancelFilter]
) -> CancelledOut:
    """Cancel all that is open in the office, or in one submission."""
    office = named_office(office_id)
    return CancelledOut(
        cancelled=cancel_all(office, operator_of(request), submission_id=wanted.submission_id)
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
    "/{office_id}/jobs/{uuid:run_id}/deadline",
    auth=OPERATE,
    response={200: OfficeRunDetail, **CONFLICTS},
)
def extend(
    request: HttpRequest, office_id: OfficeId, run_id: UUID, body: DeadlineIn
) -> OfficeRunDetail:
    """Let a running run run longer than its timeout said."""
    by = body.extend_ms * A_MILLISECOND
    return _detail(extend_deadline(_run(office_id, run_id), operator_of(request), by=by))


@router.patch(
    "/{office_id}/jobs/{uuid:run_id}", auth=OPERATE, response={200: OfficeRunDetail, **CONFLICTS}
)
def hand_over(
    request: HttpRequest, office_id: OfficeId, run_id: UUID, body: HandOverIn
) -> OfficeRunDetail:
    """Give waiting work to another role or assignee."""
    changes = body.model_dump(exclude_unset=True, exclude_none=True)
    return _detail(change_waiting(_run(office_id, run_id), operator_of(request), **changes))


def _run(office_id: str, run_id: UUID) -> Run:
    theirs = Run.objects.of_office(office_of_runs(office_id)).select_related("job")
    run = theirs.filter(pk=run_id).first()
    if run is None:
        raise UnknownRun(office_id, str(run_id))
    return run


def _detail(run: Run) -> OfficeRunDetail:
    awaited = run.dependencies.order_by("depends_on").values_list("depends_on", flat=True)
    return OfficeRunDetail.of(run, map(str, awaited))
