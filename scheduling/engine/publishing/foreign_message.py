"""The message of a run for foreign workers: plain JSON, as seed 002 §3 writes it (SPEC A18)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from amqp import Connection as RabbitMQ
from amqp.exceptions import NotFound
from django.db.models import Prefetch, prefetch_related_objects
from kombu import Producer

from scheduling.models import Run, ScheduleEpoch
from scheduling.recurrence import Interval, RecurrenceError
from scheduling.states import Trigger

PERSISTENT = 2  # AMQP's number for it
SHORTEST_LIFE = timedelta(seconds=1)


def read_along(runs: Sequence[Run]) -> None:
    """Read, for many runs as for one, what their messages say of their jobs."""
    theirs = Prefetch("job__epochs", ScheduleEpoch.objects.filter(to_at=None))
    prefetch_related_objects([run for run in runs if run.reporting], theirs, "epoch")


def send_foreign_message(producer: Producer, run: Run, *, now: datetime, **options: Any) -> None:
    """Hand the run's message to the producer; it raises what the transport raises.

    Once it has expired RabbitMQ drops it; elsewhere the client does, by its `expires_at`.
    """
    exchange = run.routing.get("exchange", "")
    to_queue = options.pop("queue", None)  # where it waits for its time
    if to_queue is not None:
        exchange, key = "", to_queue.name
    elif exchange and run.routing.get("routing_key"):
        key = run.routing["routing_key"]
    else:
        exchange, key = "", run.queue
        declare_plain_queue(producer.channel, run.queue)
    if run.expires_at is not None and run.attempt == 1:
        life = max(SHORTEST_LIFE, run.expires_at - now)
        options.setdefault("expiration", life.total_seconds())
    producer.publish(
        job_message(run, now=now),
        serializer="json",
        exchange=exchange,
        routing_key=key,
        priority=run.routing.get("priority", 0),
        delivery_mode=PERSISTENT,
        correlation_id=str(run.attempt_id),
        retry=False,
        **options,
    )


def job_message(run: Run, *, now: datetime) -> dict[str, Any]:
    """Return what the message of a run that was `read_along` says."""
    return {
        "job_id": run.job.job_id if run.job else "",
        "scope": run.scope,
        "run_id": str(run.pk),
        "attempt": run.attempt,
        "trigger_source": str(Trigger.RETRY if run.attempt > 1 else run.trigger),
        "params": run.params,
        "next_delay_sec": _next_delay(run, now),
        "timeout_sec": run.timeout.total_seconds() if run.timeout else None,
        "max_attempts": None if run.max_retries is None else run.max_retries + 1,
        "expires_at": run.expires_at.isoformat() if run.expires_at and run.attempt == 1 else None,
    }


def declare_plain_queue(channel: Any, name: str) -> None:
    """Make sure that a foreign worker's queue is there: as he made it, or durable and classic.

    A quorum queue, as ours are, would make his own declaration fail (DESIGN rule 13). Only RabbitMQ
    loses what has no queue.
    """
    connection = channel.connection.client
    known = ("plain", name)
    if not isinstance(connection.connection, RabbitMQ) or known in connection.declared_entities:
        return
    try:
        with connection.channel() as own:
            own.queue_declare(name, passive=True)
    except NotFound:
        with connection.channel() as own:
            own.queue_declare(name, durable=True, auto_delete=False)
    connection.declared_entities.add(known)


def _next_delay(run: Run, now: datetime) -> float | None:
    """Return how long after this run the next is due, in seconds; None if none is."""
    open_epochs = run.job.epochs.all() if run.job else ()
    epoch = run.epoch or next(iter(open_epochs), None)
    if epoch is None:
        return None
    begins = run.scheduled_for or now
    try:
        recurrence = epoch.recurrence()
        if isinstance(recurrence, Interval):
            return recurrence.every.total_seconds()
        following = recurrence.next_after(begins)
    except RecurrenceError:
        return None
    return None if following is None else (following - begins).total_seconds()
