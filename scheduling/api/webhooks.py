"""Webhooks over REST (SPEC B8)."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Field, Path, Query, Router, Schema, Status

from scheduling.actions.webhooks import create_webhook, delete_webhook, switch_webhook
from scheduling.api.auth import ADMIN, READ, is_admin, operator_of
from scheduling.api.lookups import named_office
from scheduling.api.shapes import LARGEST_ID, REFUSALS, Asked
from scheduling.conf import conf
from scheduling.errors import UnknownWebhook
from scheduling.models import Webhook, WebhookDelivery
from scheduling.models.event import EventKind

WebhookId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
State = Literal["waiting", "delivered", "failed"]

router = Router(tags=["webhooks"])


class WebhookIn(Schema, extra="forbid"):
    """Where to, of which office (null: all), and which events (none named: all)."""

    url: Annotated[str, Field(min_length=1, max_length=500)]
    office_id: Annotated[str, Field(max_length=64)] | None = None
    events: Annotated[list[EventKind], Field(max_length=len(EventKind))] = Field(
        default_factory=list
    )


class SwitchIn(Schema, extra="forbid"):
    """Whether it is told; what happened while it was not, it is never told."""

    enabled: Annotated[bool, Field(strict=True)]


class WebhookOut(Schema):
    """A webhook. Its secret is shown once, when it is made; its whole URL to administrators."""

    id: int
    url: str
    office_id: str | None
    events: list[str]
    enabled: bool

    @classmethod
    def of(cls, webhook: Webhook, *, whole: bool = True) -> "WebhookOut":
        """Read a webhook."""
        return cls(**_shown(webhook) | ({} if whole else {"url": webhook.place}))


class NewWebhookOut(WebhookOut):
    """A webhook that was just made, with the secret that signs what it gets."""

    secret: str


class DeliveryFilter(Asked):
    """Which deliveries, newest first."""

    state: State | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class DeliveryOut(Schema):
    """What became of telling it one event."""

    event_seq: int
    type: str
    state: str
    tries: int
    status: int | None
    error: str
    next_try_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, delivery: WebhookDelivery, *, whole: bool) -> "DeliveryOut":
        """Read a delivery; why nobody answered may name addresses of the own network."""
        told = whole or delivery.status is not None
        return cls(
            event_seq=delivery.event_seq,
            type=delivery.body["type"],
            state=delivery.state,
            tries=delivery.tries,
            status=delivery.status,
            error=delivery.error if told or not delivery.error else "nobody answered",
            next_try_at=delivery.next_try_at,
            ended_at=delivery.ended_at,
        )


@router.get("", auth=READ, response={200: list[WebhookOut], **REFUSALS})
def list_webhooks(request: HttpRequest) -> list[WebhookOut]:
    """List the scope's webhooks."""
    whole = is_admin(request)
    webhooks = Webhook.objects.in_scope(conf.SCHEDULER_SCOPE).select_related("office")
    return [WebhookOut.of(webhook, whole=whole) for webhook in webhooks.order_by("id")]


@router.post("", auth=ADMIN, response={201: NewWebhookOut, **REFUSALS})
def create(request: HttpRequest, body: WebhookIn) -> Status[NewWebhookOut]:
    """Have an address told of events from now on; the answer shows its secret, once."""
    webhook = create_webhook(
        conf.SCHEDULER_SCOPE,
        body.url,
        operator_of(request),
        office=None if body.office_id is None else named_office(body.office_id),
        events=[str(kind) for kind in body.events],
    )
    return Status(201, NewWebhookOut(**_shown(webhook), secret=webhook.secret))


@router.patch("/{webhook_id}", auth=ADMIN, response={200: WebhookOut, **REFUSALS})
def switch(request: HttpRequest, webhook_id: WebhookId, body: SwitchIn) -> WebhookOut:
    """Switch a webhook off or on."""
    webhook = switch_webhook(_webhook(webhook_id), operator_of(request), enabled=body.enabled)
    return WebhookOut.of(webhook)


@router.delete("/{webhook_id}", auth=ADMIN, response={204: None, **REFUSALS})
def delete(request: HttpRequest, webhook_id: WebhookId) -> Status[None]:
    """Delete a webhook with its deliveries."""
    delete_webhook(_webhook(webhook_id), operator_of(request))
    return Status(204, None)


@router.get("/{webhook_id}/deliveries", auth=READ, response={200: list[DeliveryOut], **REFUSALS})
def list_deliveries(
    request: HttpRequest, webhook_id: WebhookId, asked: Query[DeliveryFilter]
) -> list[DeliveryOut]:
    """List what became of telling it, newest first; what ended is kept for a week."""
    whole = is_admin(request)
    deliveries = _webhook(webhook_id).deliveries.order_by("-event_seq")
    if asked.state is not None:
        deliveries = deliveries.filter(state=asked.state)
    return [DeliveryOut.of(delivery, whole=whole) for delivery in deliveries[: asked.limit]]


def _webhook(webhook_id: int) -> Webhook:
    webhooks = Webhook.objects.in_scope(conf.SCHEDULER_SCOPE).select_related("office")
    found = webhooks.filter(pk=webhook_id).first()
    if found is None:
        raise UnknownWebhook(conf.SCHEDULER_SCOPE, webhook_id)
    return found


def _shown(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.pk,
        "url": webhook.url,
        "office_id": webhook.office.office_id if webhook.office else None,
        "events": webhook.events,
        "enabled": webhook.enabled,
    }
