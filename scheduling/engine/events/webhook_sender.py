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
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from queue import Empty, SimpleQueue

import httpx
from django.db import connection, transaction
from django.db.models import Exists, F, Min, OuterRef, QuerySet

from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.engine.events.fan_out import fan_out
from scheduling.engine.events.guarded_http import RefusedAddress, post
from scheduling.engine.events.reading import last_number
from scheduling.models import RunEvent, Webhook, WebhookDelivery
from scheduling.models.webhook import DeliveryState
from scheduling.outage import is_outage

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
OF_ONE_WEBHOOK = 5  # tries at once
CLAIM = timedelta(seconds=60)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=10), timedelta(hours=1)
MOST_TRIES = 14  # over about six hours
KEPT = timedelta(days=7)
PRUNE_EVERY_SECONDS = 3600.0
PRUNED_AT_ONCE = 5_000


class WebhookSender(threading.Thread):
    """One per beat process. An outage of the database is waited out.

    Each try has a thread of its own that ends with the process: a webhook that hangs keeps neither
    the others from theirs, nor the beat from its end.
    """

    def __init__(self, scope: str) -> None:
        super().__init__(name="ops-webhooks", daemon=True)
        self._scope = scope
        self._stopping = threading.Event()
        self._under_way: Counter[int] = Counter()  # tries by webhook
        self._results: SimpleQueue[tuple[WebhookDelivery, int | str]] = SimpleQueue()
        self._seen = 0  # the number up to which no event of the scope waits
        self._pruned_at: float | None = None

    def run(self) -> None:
        """Send until stopped."""
        while not self._stopping.is_set():
            try:
                self._look()
            except Exception as error:
                if is_outage(error):
                    logger.warning("database_unreachable", extra={"error": str(error)})
                else:
                    logger.exception("webhooks_failed", extra={"scope": self._scope})
                connection.close()
                self._stopping.wait(LOOK_EVERY_SECONDS)
        connection.close()

    def stop(self) -> None:
        """End; a try that is cut off is made again."""
        self._stopping.set()
        if self.is_alive():
            self.join(2 * LOOK_EVERY_SECONDS)

    def _look(self) -> None:
        """Begin what is due; note what comes of it, the first at once, or look again soon."""
        webhooks = Webhook.objects.in_scope(self._scope).filter(enabled=True)
        # Nothing is locked where nothing is to be done: SQLite has one writer at a time.
        if self.has_news(webhooks):
            fan_out(self._scope, now=database_now())
        now = database_now()
        for webhook in webhooks.filter(Exists(_due(OuterRef("pk"), now))).order_by("id"):
            self._begin(webhook, now)
        self._prune()
        with suppress(Empty):
            self._note(*self._results.get(timeout=LOOK_EVERY_SECONDS))
            while True:
                self._note(*self._results.get_nowait())

    def has_news(self, webhooks: "QuerySet[Webhook]") -> bool:
        """Whether an event of the scope waits; another scope's are passed over once."""
        told_until = webhooks.aggregate(least=Min("told_until"))["least"]
        if told_until is None:
            return False
        head = last_number()
        behind = RunEvent.objects.filter(scope=self._scope, seq__gt=max(told_until, self._seen))
        if head > self._seen and behind.exists():
            return True
        self._seen = head
        return False

    def _begin(self, webhook: Webhook, now: datetime) -> None:
        free = OF_ONE_WEBHOOK - self._under_way[webhook.pk]
        for delivery in claim_due(webhook, most=free, now=now) if free > 0 else ():
            self._under_way[webhook.pk] += 1
            threading.Thread(target=self._try, args=[delivery], daemon=True).start()

    def _try(self, delivery: WebhookDelivery) -> None:
        self._results.put((delivery, send(delivery)))

    def _note(self, delivery: WebhookDelivery, result: int | str) -> None:
        self._under_way[delivery.webhook_id] -= 1
        note(delivery, result, now=database_now())

    def _prune(self) -> None:
        now = time.monotonic()
        if self._pruned_at is None or now - self._pruned_at >= PRUNE_EVERY_SECONDS:
            self._pruned_at = now
            forget_ended(before=database_now() - KEPT)


@transaction.atomic
def claim_due(webhook: Webhook, *, most: int, now: datetime) -> list[WebhookDelivery]:
    """Take the next deliveries of a webhook that are to be tried, and count the try."""
    due = _due(webhook.pk, now).select_related("webhook").order_by("next_try_at", "id")
    chosen = list(due.select_for_update(skip_locked=True, of=("self",))[:most])
    ids = [delivery.pk for delivery in chosen]
    WebhookDelivery.objects.filter(pk__in=ids).update(next_try_at=now + CLAIM, tries=F("tries") + 1)
    for delivery in chosen:
        delivery.tries += 1
    return chosen


def _due(webhook: int | OuterRef, now: datetime) -> "QuerySet[WebhookDelivery]":
    return WebhookDelivery.objects.filter(
        webhook=webhook, state=DeliveryState.WAITING, next_try_at__lte=now
    )


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
    except Exception as error:
        # Its thread must tell something in any case, or the webhook would be tried less and less.
        logger.exception("webhook_try_failed", extra={"webhook": delivery.webhook_id})
        return f"{type(error).__name__}: {error}"


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
