"""Events as server-sent events: of the scope or of one office, resumable by `Last-Event-ID`.

Who may listen: a token (header), a ticket of one minute that a token gets for a browser's
EventSource, which can set no header, or a signed-in member of the staff.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core import signing
from django.core.handlers.asgi import ASGIRequest
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from ninja.errors import HttpError

from scheduling.api.auth import READ
from scheduling.api.event_hub import TooManyListeners, hub
from scheduling.api.lookups import require_office
from scheduling.api.shapes import LARGEST_ID
from scheduling.conf import conf
from scheduling.engine.events.reading import Event, events_after, last_number
from scheduling.errors import UnknownOffice
from scheduling.models import ApiToken

PING_SECONDS = 15.0
PAGE = 500
TICKET_SECONDS = 60
MOST_DIGITS = len(str(LARGEST_ID))
SALT = "scheduling.event-ticket"


def ticket_for(token: ApiToken) -> str:
    """Return what lets a browser open a stream within a minute, as this token may."""
    return signing.dumps(token.pk, salt=SALT)


@csrf_exempt  # it changes nothing, and says of other methods what the API says
async def stream_events(request: HttpRequest, office_id: str | None = None) -> HttpResponseBase:
    """Tell what happens from now on, or behind `Last-Event-ID`."""
    try:
        _require_stream(request)
        listener = await sync_to_async(_admit)(request, office_id)
        after = await _behind(request)
    except _Refused as refused:
        body = {"code": refused.code, "message": str(refused)}
        return JsonResponse(body, status=refused.status, headers=refused.headers)
    return StreamingHttpResponse(
        _told(after, office_id, listener),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class _Refused(Exception):  # noqa: N818 the name reads at the raise
    """In the API's one shape."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


def _require_stream(request: HttpRequest) -> None:
    if request.method != "GET":
        raise _Refused(405, "method_not_allowed", "this address takes GET only", Allow="GET")
    if not isinstance(request, ASGIRequest):
        raise _Refused(
            501, "no_streams", "this server cannot stream: poll GET /api/events?after=, or use ASGI"
        )


class _Listener(NamedTuple):
    """Who listens, to count his streams by, and how to ask whether he may."""

    whose: str
    may: Callable[[], bool]


async def _told(after: int, office_id: str | None, who: _Listener) -> AsyncIterator[str]:
    """Yield frames for as long as the client listens, and may."""
    yield "retry: 1000\n\n"
    admitted_at = time.monotonic()
    try:
        with hub.listening(who.whose) as listener:
            while True:
                if time.monotonic() - admitted_at >= PING_SECONDS:
                    if not await sync_to_async(who.may)():
                        return
                    admitted_at = time.monotonic()
                events = await _next(after)
                for event in events:
                    after = event.seq
                    if office_id in {None, event.office_id}:
                        yield _frame(event)
                if not events and not await listener.has_news(within=PING_SECONDS):
                    yield ":\n\n"
    except TooManyListeners as refused:
        yield f"event: refused\ndata: {refused}\n\n"


async def _next(after: int) -> list[Event]:
    recent = hub.recent_after(after)
    if recent is not None:
        return recent
    return await sync_to_async(events_after)(after, scope=conf.SCHEDULER_SCOPE, limit=PAGE)


def _frame(event: Event) -> str:
    return f"id: {event.seq}\nevent: {event.type}\ndata: {json.dumps(event.plain())}\n\n"


async def _behind(request: HttpRequest) -> int:
    """Return the number behind which the client wants to read on; by default the newest."""
    given = request.headers.get("Last-Event-ID") or request.GET.get("last_event_id")
    if given is None:
        return await sync_to_async(last_number)()
    if len(given) > MOST_DIGITS or not given.isdecimal() or int(given) > LARGEST_ID:
        text = f"Last-Event-ID: {given[:MOST_DIGITS]!r} is not the number of an event"
        raise _Refused(422, "invalid", text)
    return int(given)


def _admit(request: HttpRequest, office_id: str | None) -> _Listener:
    """Return who listens, and how to ask whether he still may; raise _Refused for who may not.

    And for an office that is none.
    """
    try:
        if office_id is not None:
            require_office(office_id)
        listener = _listener(request, office_id)
        admitted = listener is not None and listener.may()
    except UnknownOffice as error:
        raise _Refused(404, error.code, str(error)) from error
    except HttpError as error:
        raise _Refused(error.status_code, "forbidden", str(error)) from error
    if listener is None or not admitted:
        raise _Refused(
            401, "unauthorized", "send a token, or ?ticket= from POST /api/events/ticket"
        )
    return listener._replace(may=partial(_still_may, listener.may))


def _still_may(may_listen: Callable[[], bool]) -> bool:
    """Whether the token was not revoked since, nor its user; what it was too little for stays."""
    try:
        return may_listen()
    except HttpError:
        return False


def _listener(request: HttpRequest, office_id: str | None) -> _Listener | None:
    """Return who asks, and how to ask whether he may listen; None for nobody that is known."""
    if ticket := request.GET.get("ticket"):
        try:
            key = signing.loads(ticket, salt=SALT, max_age=TICKET_SECONDS)
        except signing.BadSignature:
            return None
        return _Listener(f"token {key}", partial(_token_may, key, office_id))
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = READ.find(given)
        if token is None:
            return None
        return _Listener(f"token {token.pk}", partial(_token_may, token.pk, office_id))
    user: Any = request.user
    if not user.is_authenticated:
        return None
    return _Listener(f"user {user.pk}", partial(_member_may, user.pk))


def _token_may(key: str, office_id: str | None) -> bool:
    token = ApiToken.objects.select_related("user", "office").filter(pk=key).first()
    return READ.admit(token, office_id) is not None


def _member_may(key: int) -> bool:
    members: QuerySet[Any] = get_user_model().objects.filter(is_active=True, is_staff=True)
    return members.filter(pk=key).exists()
