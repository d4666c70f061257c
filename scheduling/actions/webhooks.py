"""Makes, switches and deletes webhooks; where one is switched on it is told from then on."""

import secrets
from collections.abc import Sequence

from django.db import IntegrityError, transaction

from scheduling.actions.audit import Operator, record
from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.engine.events.guarded_http import RefusedAddress, require_outside
from scheduling.engine.events.reading import last_number
from scheduling.errors import InvalidWebhook
from scheduling.models import Office, Webhook
from scheduling.models.event import EventKind
from scheduling.storable import storable


@transaction.atomic
def create_webhook(
    scope: str, url: str, operator: Operator, *, office: Office | None, events: Sequence[str]
) -> Webhook:
    """Create a webhook with a secret of its own; raise InvalidWebhook."""
    if storable(url) != url:
        raise InvalidWebhook("url", "has a NUL or half a surrogate pair: remove it")
    try:
        require_outside(url, allowed=conf.OPS_WEBHOOK_HOSTS)
    except RefusedAddress as error:
        raise InvalidWebhook("url", str(error)) from error
    if unknown := sorted(set(events) - set(EventKind.values)):
        known = ", ".join(EventKind.values)
        raise InvalidWebhook("events", f"{', '.join(map(repr, unknown))}: give some of {known}")
    webhook = Webhook(
        scope=scope,
        office=office,
        url=url,
        events=sorted(set(events)),
        secret=secrets.token_urlsafe(32),
        told_until=last_number(),
        created_at=database_now(),
    )
    try:
        with transaction.atomic():
            webhook.save()
    except IntegrityError as error:
        told = f"{url!r} is told already: delete that webhook to have it told otherwise"
        raise InvalidWebhook("url", told) from error
    record(operator, "create_webhook", webhook, after={"events": webhook.events})
    return webhook


@transaction.atomic
def switch_webhook(webhook: Webhook, operator: Operator, *, enabled: bool) -> Webhook:
    """Switch it off, or on: what happened in between is not told."""
    webhook = Webhook.objects.select_for_update(of=("self",)).get(pk=webhook.pk)
    if webhook.enabled != enabled:
        webhook.enabled = enabled
        webhook.told_until = (
            max(webhook.told_until, last_number()) if enabled else webhook.told_until
        )
        webhook.save(update_fields=["enabled", "told_until"])
        record(
            operator,
            "switch_webhook",
            webhook,
            before={"enabled": not enabled},
            after={"enabled": enabled},
        )
    return webhook


@transaction.atomic
def delete_webhook(webhook: Webhook, operator: Operator) -> None:
    """Delete it with its deliveries."""
    record(operator, "delete_webhook", webhook)
    webhook.delete()
