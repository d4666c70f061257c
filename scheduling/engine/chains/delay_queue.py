"""Delay queues: on RabbitMQ a link's message waits at the broker until the link is due (SPEC A8).

One queue per job, `{scope}.delay.{job_id}`: what expires in it is dead-lettered to the job's own
queue (DESIGN rule 14). It holds one message at most, so that none waits behind another; the ledger
knows of every link, so that a lost message costs a moment. Any other broker holds none: the beat
starts those links when they are due.
"""

import logging
from collections.abc import Sequence
from copy import copy
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from amqp.exceptions import PreconditionFailed
from celery import Celery
from kombu import Exchange, Producer, Queue
from kombu.exceptions import OperationalError
from kombu.transport.pyamqp import Transport as RabbitMQ

from scheduling.engine.publishing.batch import Parcel
from scheduling.engine.publishing.confirms import Answers, send_confirmed
from scheduling.engine.publishing.delivery import AT_ONCE
from scheduling.engine.publishing.foreign_message import declare_plain_queue, read_along
from scheduling.engine.publishing.message import is_routed, send_message
from scheduling.models import Run
from scheduling.models.job import Reporting

logger = logging.getLogger(__name__)

# RabbitMQ keeps no message beyond 49 days, and clocks drift: what comes too early waits again.
LONGEST_WAIT = timedelta(days=1)
UNUSED = timedelta(days=3)  # after so long without a declaration RabbitMQ drops a queue
MILLISECOND = timedelta(milliseconds=1)


def wait_at_broker(app: Celery, links: Sequence[Run], *, now: datetime) -> None:
    """Have the messages of waiting links wait at the broker, as far as it can and is there."""
    ours = [link for link in links if _may_wait(link)]
    if not ours or not _is_rabbitmq(app):
        return
    ours = _marked(ours, now)  # first: one that is due at once may arrive before we are back
    read_along(ours)
    shipment = _Shipment(app, ours, now)
    try:
        shipment.send()
    except OperationalError as error:
        held = len(ours) - len(shipment.sent)
        logger.warning("links_held_in_database", extra={"links": held, "error": str(error)})
    _mark([link for link in ours if link not in shipment.sent], None)


def delay_queue_name(scope: str, job_id: str) -> str:
    """Return the name of a job's delay queue."""
    return f"{scope}.delay.{job_id}"


def _marked(links: Sequence[Run], now: datetime) -> list[Run]:
    """Mark the links as published; return those that still wait as they were read.

    One that was edited since has another attempt's id: a message would say what it was.
    """
    _mark(links, now)
    current = Run.objects.waiting_links().filter(attempt_id__in=_attempts(links))
    marked = set(current.values_list("attempt_id", flat=True))
    return [link for link in links if link.attempt_id in marked]


def _mark(links: Sequence[Run], at: datetime | None) -> None:
    """Set `published_at` where the message at the broker is current, or clear it (None).

    `arrivals` starts only links that have it.
    """
    if links:
        waiting = Run.objects.waiting_links().filter(id__in=[link.pk for link in links])
        waiting.filter(attempt_id__in=_attempts(links)).update(published_at=at)


def _attempts(links: Sequence[Run]) -> list[UUID]:
    return [link.attempt_id for link in links if link.attempt_id is not None]


def _may_wait(link: Run) -> bool:
    """Only the workers of our own queues are sure to check at the fence that the link may start."""
    checked = link.reporting != Reporting.END_ONLY
    return checked and link.is_for_own_queue and not is_routed(link)


def _is_rabbitmq(app: Celery) -> bool:
    """Tell by the URL, without asking the broker."""
    return issubclass(app.connection_for_write().get_transport_cls(), RabbitMQ)


class _Shipment:
    """Sends the messages of some links one by one; `sent` are those that the broker has."""

    def __init__(self, app: Celery, links: Sequence[Run], now: datetime) -> None:
        self._app = app
        self._links = links
        self._now = now
        self.sent: list[Parcel] = []

    def send(self) -> None:
        """Send them; raise OperationalError if the broker does not answer."""
        with self._app.connection_or_acquire() as connection:
            try:
                self._send_over(connection)
            except OperationalError:
                connection.collect()
                raise
            except connection.connection_errors:
                # It may have gone stale in the pool: one quick second try; then the beat's turn.
                connection.collect()
                self._send_again(connection)

    def _send_again(self, connection: Any) -> None:
        try:
            self._send_over(connection)
        except (OperationalError, *connection.connection_errors) as error:
            connection.collect()
            raise OperationalError(str(error)) from error

    def _send_over(self, connection: Any) -> None:
        connection.ensure_connection(**AT_ONCE)
        answers = Answers(sent=self.sent.append, unroutable=_note_refused, refused=_note_refused)
        for link in [link for link in self._links if link not in self.sent]:
            try:
                self._send_one(link, connection, answers)
            except (OperationalError, *connection.connection_errors):
                raise
            except Exception as error:  # noqa: BLE001 it is about this one: the others go on
                _note_refused(link, error)

    def _send_one(self, link: Run, connection: Any, answers: Answers) -> None:
        try:
            send_confirmed(self._put, connection, [link], answers)
        except PreconditionFailed:
            # The job was given another queue: what waited for the old one was taken back.
            send_confirmed(partial(self._put, anew=True), connection, [link], answers)

    def _put(self, producer: Producer, link: Run, *, anew: bool = False, **options: Any) -> None:
        """Make sure that the job's delay queue is there and empty; put the message into it.

        And that the job's own queue is there: what expires has to go somewhere.
        """
        queue = _delay_queue(link)
        channel: Any = producer.channel
        if link.reporting:
            declare_plain_queue(channel, link.queue)
        else:
            self._app.amqp.queues[link.queue].queue_declare(channel=channel)
        if anew:
            channel.queue_delete(queue.name)
        declared: Any = queue.queue_declare(channel=channel)
        if declared.message_count:
            channel.queue_purge(queue.name)  # of a link that was taken back
        first = copy(link)
        first.attempt = 1  # which it will be when it arrives
        seconds = _seconds_until(link.not_before or self._now, self._now)
        send_message(
            self._app, producer, first, now=self._now, queue=queue, expiration=seconds, **options
        )


def _delay_queue(link: Run) -> Queue:
    name = delay_queue_name(link.scope, link.job.job_id if link.job else "")
    arguments = {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": link.queue,
        "x-expires": UNUSED // MILLISECOND,
    }
    exchange = Exchange("")
    # Declared here, with an answer that says what is in it, and not once more by kombu.
    return Queue(name, exchange, routing_key=name, queue_arguments=arguments, no_declare=True)


def _seconds_until(due: datetime, now: datetime) -> float:
    """Return how long a message waits, in whole milliseconds, rounded up.

    kombu rounds down; half a millisecond more survives that.
    """
    wait = min(max(due - now, timedelta(0)), LONGEST_WAIT)
    return (-(-wait // MILLISECOND) + 0.5) / 1_000


def _note_refused(link: Parcel, error: Exception) -> None:
    logger.warning("link_refused_by_broker", extra={"run_id": str(link.id), "error": str(error)})
