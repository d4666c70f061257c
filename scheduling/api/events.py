"""Events over REST, page by page; and the ticket with which a browser opens a stream of them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from scheduling.api.auth import READ
from scheduling.api.event_stream import TICKET_SECONDS, ticket_for
from scheduling.api.lookups import OfficeId, require_office
from scheduling.api.shapes import LARGEST_ID, REFUSALS, Asked
from scheduling.conf import conf
from scheduling.engine.events.reading import Event, events_after

router = Router(tags=["events"])
of_an_office = Router(tags=["events"])


class After(Asked):
    """Which part: the next ones behind the number of the last one that was seen."""

    after: Annotated[int, Field(ge=0, le=LARGEST_ID)] = 0
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class EventOut(Schema):
    """What happened to a run; `seq` grows, and is the `Last-Event-ID` of the stream."""

    seq: int
    type: str
    at: datetime
    scope: str
    office_id: str
    job_id: str | None
    run_id: UUID
    id: str
    submission_id: UUID | None
    role: str
    attempt: int
    trigger_source: str


class TicketOut(Schema):
    """Put it into the address of a stream, `?ticket=`, within so many seconds."""

    ticket: str
    seconds: int


@router.get("", auth=READ, response={200: list[EventOut], **REFUSALS})
def list_events(request: HttpRequest, asked: Query[After]) -> list[Event]:
    """List what happened in the scope behind a number, oldest first."""
    del request
    return events_after(asked.after, scope=conf.SCHEDULER_SCOPE, limit=asked.limit)


@router.post("/ticket", auth=READ, response={200: TicketOut, **REFUSALS})
def make_ticket(request: HttpRequest) -> TicketOut:
    """Get what lets a browser open a stream for a minute, as this token may."""
    return TicketOut(ticket=ticket_for(request.auth), seconds=TICKET_SECONDS)  # type: ignore[attr-defined]


@of_an_office.post("/{office_id}/events/ticket", auth=READ, response={200: TicketOut, **REFUSALS})
def make_ticket_of_office(request: HttpRequest, office_id: OfficeId) -> TicketOut:
    """Get it with a token of this office."""
    require_office(office_id)
    return make_ticket(request)


@of_an_office.get("/{office_id}/events", auth=READ, response={200: list[EventOut], **REFUSALS})
def list_events_of_office(
    request: HttpRequest, office_id: OfficeId, asked: Query[After]
) -> list[Event]:
    """List what happened in an office behind a number, oldest first."""
    del request
    require_office(office_id)
    scope = conf.SCHEDULER_SCOPE
    return events_after(asked.after, scope=scope, limit=asked.limit, office_id=office_id)
