"""The standing `broker_heartbeat` job: one message through the broker and back."""

import secrets
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from kombu import Connection, Consumer, Message, Producer, Queue
from kombu.transport.virtual import Channel as VirtualChannel

from monitoring.broker import bounded_connection
from monitoring.errors import HeartbeatError, MonitoringError
from monitoring.models import ProbeSample
from monitoring.probes.names import CHECK_BROKER_HEARTBEAT

TIMEOUT_SECONDS = 5
LEFTOVER_SECONDS = 60  # a queue whose process was killed is gone after this
KEEP_SAMPLES = timedelta(days=7)


def round_trip() -> dict[str, float]:
    """Return `{"latency_seconds": float}`; raise BrokerError or HeartbeatError.

    Either way a ProbeSample is left, and nothing in the broker.
    """
    try:
        latency = _measure()
    except MonitoringError as error:
        _record(ok=False, latency=None, detail=str(error))
        raise
    _record(ok=True, latency=latency, detail="")
    return {"latency_seconds": latency}


def _measure() -> float:
    until = time.monotonic() + TIMEOUT_SECONDS
    with bounded_connection(TIMEOUT_SECONDS) as connection:
        return _send_and_receive(connection, until=until)


def _send_and_receive(connection: Connection, *, until: float) -> float:
    channel = connection.channel()
    token = secrets.token_hex(16)
    queue = _private_queue(token)(channel)
    queue.queue_declare()
    try:
        sent = time.monotonic()
        Producer(channel).publish({"token": token}, routing_key=queue.name, serializer="json")
        _let_expire(channel, queue.name)
        _wait_for(token, queue, connection, until=until)
        return round(time.monotonic() - sent, 6)
    finally:
        queue.delete()


def _private_queue(token: str) -> Queue:
    return Queue(
        f"{settings.SCHEDULER_SCOPE}.heartbeat.{token}",
        durable=False,
        exclusive=True,
        auto_delete=True,
        expires=LEFTOVER_SECONDS,
    )


def _let_expire(channel: Any, name: str) -> None:
    """Give Redis the expiry that RabbitMQ takes from the queue's arguments."""
    if isinstance(channel, VirtualChannel) and hasattr(channel, "client"):
        channel.client.expire(name, LEFTOVER_SECONDS)


def _wait_for(token: str, queue: Queue, connection: Connection, *, until: float) -> None:
    received: list[Any] = []

    def take(body: Any, message: Message) -> None:
        del message
        received.append(body)

    with Consumer(queue.channel, [queue], callbacks=[take], no_ack=True, auto_declare=False):
        while not received:
            remaining = until - time.monotonic()
            if remaining <= 0:
                raise HeartbeatError(
                    f"the message did not come back within {TIMEOUT_SECONDS} s: "
                    "the broker takes messages but does not deliver them, look at its log"
                )
            _drain(connection, remaining)
    if received != [{"token": token}]:
        raise HeartbeatError("another message came back than was sent")


def _drain(connection: Connection, seconds: float) -> None:
    try:
        connection.drain_events(timeout=seconds)
    except TimeoutError:
        return  # the caller looks at the clock


def _record(*, ok: bool, latency: float | None, detail: str) -> None:
    now = timezone.now()
    mine = {"scope": settings.SCHEDULER_SCOPE, "probe": CHECK_BROKER_HEARTBEAT}
    ProbeSample.objects.create(**mine, at=now, ok=ok, latency_seconds=latency, detail=detail)
    ProbeSample.objects.filter(**mine, at__lt=now - KEEP_SAMPLES).delete()
