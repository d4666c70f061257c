"""Makes a delivery of each numbered event for each webhook that wants it, once."""

from datetime import datetime

from django.db import transaction

from scheduling.engine.events.reading import Event, events_after
from scheduling.models import Webhook, WebhookDelivery

PAGE = 500


def fan_out(scope: str, *, now: datetime) -> int:
    """Look at the next events for each webhook of the scope; return how many deliveries follow.

    One that somebody else is looking after is left to him.
    """
    with transaction.atomic():
        webhooks = Webhook.objects.in_scope(scope).filter(enabled=True).order_by("id")
        locked = webhooks.select_for_update(skip_locked=True, of=("self",))
        made = [made for webhook in locked for made in _deliveries(webhook, now)]
        WebhookDelivery.objects.bulk_create(made)
    return len(made)


def _deliveries(webhook: Webhook, now: datetime) -> list[WebhookDelivery]:
    events = events_after(webhook.told_until, scope=webhook.scope, limit=PAGE)
    if not events:
        return []
    webhook.told_until = events[-1].seq
    webhook.save(update_fields=["told_until"])
    return [
        WebhookDelivery(webhook=webhook, event_seq=event.seq, body=event.plain(), next_try_at=now)
        for event in events
        if _wants(webhook, event)
    ]


def _wants(webhook: Webhook, event: Event) -> bool:
    of_office = webhook.office is None or webhook.office.office_id == event.office_id
    return of_office and (not webhook.events or event.type in webhook.events)
