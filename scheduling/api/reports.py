"""The doors of foreign workers: they start, renew and end their runs here (SPEC A18)."""

from typing import Annotated
from uuid import UUID

from django.http import HttpRequest
from ninja import Path, Router

from scheduling.actions.report_run import Report, end_run, renew_run, start_run
from scheduling.api.auth import OPERATE
from scheduling.api.report_shapes import EndOut, FailIn, LeaseOut, StartIn, StartOut, SucceedIn
from scheduling.api.shapes import CONFLICTS, LARGEST_NUMBER
from scheduling.engine.liveness import LEASE_SECONDS
from scheduling.fence import Fence
from scheduling.models import Run
from scheduling.states import RunState

Attempt = Annotated[int, Path(ge=1, le=LARGEST_NUMBER)]

router = Router(tags=["foreign workers"])


@router.post("/{run_id}/{attempt}/start", auth=OPERATE, response={200: StartOut, **CONFLICTS})
def start(request: HttpRequest, run_id: UUID, attempt: Attempt, body: StartIn) -> StartOut:
    """Start an attempt: 409 says that it is not, or no longer, to be done."""
    del request
    run = start_run(Fence(run_id, attempt), reporter=body.reporter)
    return StartOut.of(run, lease_sec=LEASE_SECONDS)


@router.post("/{run_id}/{attempt}/renew", auth=OPERATE, response={200: LeaseOut, **CONFLICTS})
def renew(request: HttpRequest, run_id: UUID, attempt: Attempt) -> LeaseOut:
    """Say that it goes on; without that for `lease_sec` the run is given to somebody else."""
    del request
    run = renew_run(Fence(run_id, attempt))
    told = run.state == RunState.STOPPING
    return LeaseOut(cancel=told, reason=run.reason if told else "")


@router.post("/{run_id}/{attempt}/succeed", auth=OPERATE, response={200: EndOut, **CONFLICTS})
def succeed(request: HttpRequest, run_id: UUID, attempt: Attempt, body: SucceedIn) -> EndOut:
    """End an attempt as done."""
    del request
    return _ended(end_run(Fence(run_id, attempt), Report(done=True, result=body.result)))


@router.post("/{run_id}/{attempt}/fail", auth=OPERATE, response={200: EndOut, **CONFLICTS})
def fail(request: HttpRequest, run_id: UUID, attempt: Attempt, body: FailIn) -> EndOut:
    """End an attempt as failed; the job's policy says whether another follows."""
    del request
    report = Report(done=False, error=body.error, error_code=body.error_code or "")
    return _ended(end_run(Fence(run_id, attempt), report))


def _ended(run: Run) -> EndOut:
    return EndOut(run_id=str(run.pk), state=run.state)
