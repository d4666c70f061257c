"""Offices over REST: create, look at, pause, archive, and change their limits."""

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from ninja import Router, Status

from scheduling.actions.offices.change_office import change_office
from scheduling.actions.offices.create_office import NewOffice, create_office
from scheduling.actions.offices.process_office import process_office
from scheduling.api.auth import ADMIN, OPERATE, READ, operator_of
from scheduling.api.etags import IfMatch, etag_of, unless_changed
from scheduling.api.lookups import OfficeId, named_office
from scheduling.api.office_shapes import (
    ConfigIn,
    ConfigOut,
    NewOfficeIn,
    OfficeIn,
    OfficeOut,
    ProcessedOut,
    StatsOut,
)
from scheduling.api.shapes import CONFLICTS, REFUSALS, Problem
from scheduling.conf import conf
from scheduling.engine.events.tallies import ended_of
from scheduling.models import Office, Run
from scheduling.states import HOLDING_SLOT, RunState

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
        max_concurrent=body.slots,
    )
    return Status(201, OfficeOut.of(create_office(new, operator_of(request))))


@router.get("/{office_id}", auth=READ, response={200: OfficeOut, **REFUSALS})
def get_office(request: HttpRequest, office_id: OfficeId) -> OfficeOut:
    """Return one office."""
    del request
    return OfficeOut.of(named_office(office_id))


@router.patch("/{office_id}", auth=OPERATE, response={200: OfficeOut, **REFUSALS})
def change_state(request: HttpRequest, office_id: OfficeId, body: OfficeIn) -> OfficeOut:
    """Pause, archive or activate an office, or rename it; what runs finishes in any case."""
    changes = body.model_dump(exclude_unset=True, exclude_none=True)
    return OfficeOut.of(change_office(named_office(office_id), operator_of(request), changes))


@router.get("/{office_id}/scheduler/config", auth=READ, response={200: ConfigOut, **REFUSALS})
def get_config(request: HttpRequest, office_id: OfficeId, response: HttpResponse) -> ConfigOut:
    """Return the office's limits and policy, with an ETag for a change that follows."""
    del request
    return _tagged(ConfigOut.of(named_office(office_id)), response)


@router.patch(
    "/{office_id}/scheduler/config",
    auth=ADMIN,
    response={200: ConfigOut, **REFUSALS, 412: Problem},
)
def change_config(
    request: HttpRequest,
    office_id: OfficeId,
    body: ConfigIn,
    response: HttpResponse,
    if_match: IfMatch = None,
) -> ConfigOut:
    """Change limits and policy; they hold for whatever starts next.

    With `If-Match` only what still is as it was then: 412 otherwise.
    """
    check = unless_changed(if_match, f"the configuration of office {office_id!r}")
    office = change_office(
        named_office(office_id),
        operator_of(request),
        body.of_office(),
        roles=body.of_roles(),
        check=lambda present: check(ConfigOut.of(present)),
    )
    return _tagged(ConfigOut.of(office), response)


@router.post(
    "/{office_id}/scheduler/process", auth=OPERATE, response={200: ProcessedOut, **REFUSALS}
)
def process(request: HttpRequest, office_id: OfficeId) -> ProcessedOut:
    """Start now what may start, as a beat does by itself every second."""
    return ProcessedOut(started=process_office(named_office(office_id), operator_of(request)))


@router.get("/{office_id}/scheduler/stats", auth=READ, response={200: StatsOut, **REFUSALS})
def stats(request: HttpRequest, office_id: OfficeId) -> StatsOut:
    """Count the office's runs by state, those that have ended since ever."""
    del request
    office = named_office(office_id)
    runs = Run.objects.of_office(office).open().order_by()
    counts = dict(runs.values_list("state").annotate(Count("id")))
    ended = ended_of(office)
    return StatsOut(
        pending=counts.get(RunState.PENDING, 0),
        ready=counts.get(RunState.READY, 0),
        processing=sum(counts.get(state, 0) for state in HOLDING_SLOT),
        done=ended.done,
        failed=ended.failed,
        timeout=ended.timeout,
        cancelled=ended.cancelled,
        avg_completion_time=ended.done_seconds / ended.timed if ended.timed else None,
    )


def _tagged(config: ConfigOut, response: HttpResponse) -> ConfigOut:
    response["ETag"] = etag_of(config)
    return config
