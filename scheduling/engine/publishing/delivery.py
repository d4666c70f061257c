"""Brings the messages of runs to the broker in one go, as far as its transport knows how.

RabbitMQ takes a batch and confirms each message of it, Redis a pipeline; any other transport gets
them one by one. Where one message spoils a batch, each is sent alone, so that it harms no other.
"""

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import amqp
from celery import Celery
from kombu import Producer, exceptions
from kombu.exceptions import OperationalError

from scheduling.engine.publishing.batch import Parcel
from scheduling.engine.publishing.confirms import Answers, send_confirmed
from scheduling.engine.publishing.message import send_message

logger = logging.getLogger(__name__)

STALE_SECONDS = 1.0  # a connection that went stale in the pool says so at once
AT_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class Delivery:
    """What became of the messages of some runs: `waiting` for an answer, `sent` or `refused`.

    Without the fence a message sent twice is run twice: each then goes alone and once, and those
    that had no answer are told apart from those that were not tried.
    """

    def __init__(self, runs: Sequence[Parcel], *, now: datetime, fenced: bool = True) -> None:
        self.now = now
        self.fenced = fenced
        self.waiting = {run.id: run for run in runs}
        self.sent: list[Parcel] = []
        self.refused: list[tuple[Parcel, Exception]] = []
        self._tried: set[UUID] = set()

    @property
    def uncertain(self) -> list[Parcel]:
        """Those whose message may have arrived, or not."""
        return [run for run_id, run in self.waiting.items() if run_id in self._tried]

    def send(self, app: Celery, producer: Producer, run: Parcel, **options: Any) -> None:
        """Hand one message to the producer."""
        self._tried.add(run.id)
        send_message(app, producer, run, now=self.now, fenced=self.fenced, **options)

    def note_sent(self, run: Parcel) -> None:
        """The broker has it."""
        self.sent.append(self.waiting.pop(run.id))

    def note_refused(self, run: Parcel, error: Exception) -> None:
        """The broker is well, but does not take this one."""
        self.refused.append((self.waiting.pop(run.id), error))


def deliver(app: Celery, delivery: Delivery) -> None:
    """Send what is waiting; raise OperationalError if the broker does not answer.

    What had no answer by then stays waiting. It may have arrived all the same and be sent again:
    the fence, where there is one, makes that harmless.
    """
    began = time.monotonic()
    with app.connection_or_acquire() as connection:
        try:
            _send_over(app, connection, delivery)
        except (OperationalError, TimeoutError) as error:
            connection.collect()
            raise OperationalError(str(error)) from error
        except connection.connection_errors as error:
            connection.collect()
            hangs = time.monotonic() - began > STALE_SECONDS
            if hangs or (delivery.uncertain and not delivery.fenced):
                raise OperationalError(str(error)) from error
            # It may have gone stale in the pool: one quick second try; after that recover's turn.
            _try_again(app, connection, delivery)


def _try_again(app: Celery, connection: Any, delivery: Delivery) -> None:
    try:
        _send_over(app, connection, delivery)
    except (OperationalError, *connection.connection_errors) as error:
        connection.collect()
        raise OperationalError(str(error)) from error


def _send_over(app: Celery, connection: Any, delivery: Delivery) -> None:
    connection.ensure_connection(**AT_ONCE)
    runs = list(delivery.waiting.values())
    for batch in [runs] if delivery.fenced else [[run] for run in runs]:
        _send(app, connection, batch, delivery)


def _send(app: Celery, connection: Any, runs: Sequence[Parcel], delivery: Delivery) -> None:
    try:
        _send_together(app, connection, runs, delivery)
    except (OperationalError, *connection.connection_errors):
        raise
    except Exception as error:  # noqa: BLE001 whatever it is, it is about one of these messages
        if len(runs) == 1:
            delivery.note_refused(runs[0], error)
            return
        logger.info("batch_refused", extra={"messages": len(runs), "error": str(error)})
        for run in list(delivery.waiting.values()):
            _send(app, connection, [run], delivery)


def _send_together(
    app: Celery, connection: Any, runs: Sequence[Parcel], delivery: Delivery
) -> None:
    if isinstance(connection.connection, amqp.Connection):
        _send_confirmed(app, connection, runs, delivery)
    else:
        _send_in_pipeline(app, connection, runs, delivery)


def _send_confirmed(
    app: Celery, connection: Any, runs: Sequence[Parcel], delivery: Delivery
) -> None:
    send, lost = partial(delivery.send, app), []
    sent, refused = delivery.note_sent, delivery.note_refused
    answers = Answers(sent=sent, refused=refused, unroutable=lambda run, _: lost.append(run))
    send_confirmed(send, connection, runs, answers)
    if lost:
        # A queue that we had declared may have been deleted since: declare it again, and try once.
        connection.declared_entities.clear()
        answers = Answers(sent=sent, refused=refused, unroutable=refused)
        send_confirmed(send, connection, lost, answers)


def _send_in_pipeline(
    app: Celery, connection: Any, runs: Sequence[Parcel], delivery: Delivery
) -> None:
    try:
        with connection.Producer(auto_declare=False) as producer, producer.batch():
            for run in runs:
                delivery.send(app, producer, run)
    except exceptions.BatchPublishError as error:  # type: ignore[attr-defined] # newer than the stubs
        raise error.__cause__ or error from error
    for run in runs:
        delivery.note_sent(run)
