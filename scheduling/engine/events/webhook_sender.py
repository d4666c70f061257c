"""Sends webhook deliveries, from a thread of the beat: an address that hangs must not hold it.

Each try is claimed for a while, so that two beats do not both make it; one whose sender died is
made again. What is refused is tried again after waits that double, for some hours.
"""

import hashlib
import hmac
import json
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from http import HTTPStatus

import httpx
from django.db import connection, transaction
from django.db.models import F

from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.engine.events.fan_out import fan_out
from scheduling.engine.events.guarded_http import RefusedAddress, post
from scheduling.models import Webhook, WebhookDelivery
from scheduling.models.webhook import DeliveryState
from scheduling.outage import is_outage

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
AT_ONCE = 20
OF_ONE_WEBHOOK = 5  # so that one that hangs leaves room for the others
THREADS = 8
CLAIM = timedelta(seconds=60)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)
MOST_TRIES = 14  # over about six hours
KEPT = timedelta(days=7)
PRUNE_EVERY_SECONDS = 3600.0
PRUNED_AT_ONCE = 5_000


class WebhookSender(threading.Thread):
    """One per beat process. An outage of the database is waited out."""

    def __init__(self, scope: str) -> None:
        super().__init__(name="ops-webhooks", daemon=True)
        self._scope = scope
        self._stopping = threading.Event()
        self._pruned_at: float | None = None

    def run(self) -> None:
        """Send until stopped."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="ops-webhook") as pool:
            while not self._stopping.wait(LOOK_EVERY_SECONDS):
                try:
                    self._look(pool)
                except Exception as error:
                    if is_outage(error):
                        logger.warning("database_unreachable", extra={"error": str(error)})
                    else:
                        logger.exception("webhooks_failed", extra={"scope": self._scope})
                    connection.close()
        connection.close()

    def stop(self) -> None:
        """End; a try that is under way may take its time, and is made again if it is cut off."""
        self._stopping.set()
        if self.is_alive():
            self.join(LOOK_EVERY_SECONDS)

    def _look(self, pool: ThreadPoolExecutor) -> None:
        if not Webhook.objects.in_scope(self._scope).exists():
            return
        fan_out(self._scope, now=database_now())
        while not self._stopping.is_set() and (due := claim_due(self._scope, now=database_now())):
            results = list(pool.map(send, due))
            for delivery, result in zip(due, results, strict=True):
                note(delivery, result, now=database_now())
        self._prune()

    def _prune(self) -> None:
        now = time.monotonic()
        if self._pruned_at is None or now - self._pruned_at >= PRUNE_EVERY_SECONDS:
            self._pruned_at = now
            forget_ended(before=database_now() - KEPT)


@transaction.atomic
def claim_due(scope: str, *, now: datetime) -> list[WebhookDelivery]:
    """Take the next deliveries to be tried, not too many of one webhook, and count the try."""
    waiting = WebhookDelivery.objects.filter(
        state=DeliveryState.WAITING,
        next_try_at__lte=now,
        webhook__scope=scope,
        webhook__enabled=True,
    )
    due = waiting.select_related("webhook").order_by("next_try_at", "id")
    of_each: dict[int, int] = {}
    chosen: list[WebhookDelivery] = []
    for delivery in due.select_for_update(skip_locked=True, of=("self",))[: AT_ONCE * THREADS]:
        count = of_each.get(delivery.webhook_id, 0)
        if count < OF_ONE_WEBHOOK and len(chosen) < AT_ONCE:
            of_each[delivery.webhook_id] = count + 1
            chosen.append(delivery)
    ids = [delivery.pk for delivery in chosen]
    WebhookDelivery.objects.filter(pk__in=ids).update(next_try_at=now + CLAIM, tries=F("tries") + 1)
    for delivery in chosen:
        delivery.tries += 1
    return chosen


def send(delivery: WebhookDelivery) -> int | str:
    """Make one try; return the status, or why there was none. Touches no database."""
    content = json.dumps(delivery.body).encode()
    at = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "ops-platform",
        "X-Ops-Event": delivery.body["type"],
        "X-Ops-Delivery": delivery.key,
        "X-Ops-Signature": f"t={at},v1={signature(delivery.webhook.secret, at, content)}",
    }
    try:
        return post(delivery.webhook.url, content, headers, allowed=conf.OPS_WEBHOOK_HOSTS)
    except (RefusedAddress, httpx.HTTPError, httpx.InvalidURL) as error:
        return str(error) or type(error).__name__


def signature(secret: str, at: int, content: bytes) -> str:
    """Return the hex HMAC-SHA256 of "<at>.<content>", `at` in seconds since 1970."""
    return hmac.new(secret.encode(), f"{at}.".encode() + content, hashlib.sha256).hexdigest()


def note(delivery: WebhookDelivery, result: int | str, *, now: datetime) -> None:
    """Write what came of a try: taken, to be tried again, or given up."""
    status = result if isinstance(result, int) else None
    taken = status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    delivery.status = status
    delivery.error = "" if taken else _why(result)
    if taken:
        delivery.state, delivery.ended_at, delivery.next_try_at = DeliveryState.DELIVERED, now, None
    elif delivery.tries >= MOST_TRIES:
        delivery.state, delivery.ended_at, delivery.next_try_at = DeliveryState.FAILED, now, None
        told = {"webhook": delivery.webhook_id, "seq": delivery.event_seq, "error": delivery.error}
        logger.warning("webhook_given_up", extra=told)
    else:
        delivery.next_try_at = now + min(FIRST_WAIT * 2 ** (delivery.tries - 1), LONGEST_WAIT)
    # Whoever tried it again meanwhile has counted that, and writes what comes of it.
    same_try = WebhookDelivery.objects.filter(pk=delivery.pk, tries=delivery.tries)
    same_try.update(
        state=delivery.state,
        ended_at=delivery.ended_at,
        next_try_at=delivery.next_try_at,
        status=delivery.status,
        error=delivery.error,
    )


def forget_ended(*, before: datetime) -> int:
    """Delete deliveries that ended long ago, a batch of them; return how many."""
    ended = WebhookDelivery.objects.filter(ended_at__lt=before).order_by("ended_at")
    ids: Sequence[int] = list(ended.values_list("pk", flat=True)[:PRUNED_AT_ONCE])
    return WebhookDelivery.objects.filter(pk__in=ids).delete()[0]


def _why(result: int | str) -> str:
    longest = WebhookDelivery._meta.get_field("error").max_length  # noqa: SLF001 Django's documented name
    return f"answered {result}" if isinstance(result, int) else result[:longest]
