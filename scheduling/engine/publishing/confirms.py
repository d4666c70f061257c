"""RabbitMQ: a batch on a channel of its own in confirm mode, and which of it the broker took.

Waiting for one confirmation after the other costs a round trip a message; here all are sent, then
all are waited for. What is not confirmed counts as not sent.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import AMQPError, MessageNacked
from kombu import Producer
from kombu.exceptions import OperationalError

from scheduling.engine.publishing.batch import Parcel

LONGEST_WAIT_SECONDS = 5.0  # a broker that blocks publishing must not hold the beat

Send = Callable[..., object]  # takes the producer and the run


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Whom to tell what the broker answered: it has it, no queue wants it, or the queue is full."""

    sent: Callable[[Parcel], object]
    unroutable: Callable[[Parcel, Exception], object]
    refused: Callable[[Parcel, Exception], object]


def send_confirmed(send: Send, connection: Any, runs: Iterable[Parcel], answers: Answers) -> None:
    """Send the messages of the runs and tell of each, once, what the broker answered.

    Raises OperationalError when an answer takes too long or the broker blocks publishers, and what
    the transport raises when the connection or the channel is closed; nothing is told of the rest.
    """
    with _own_channel(connection) as channel:
        confirms = _Confirms(channel, answers)
        producer = Producer(channel, auto_declare=False)
        for run in runs:
            confirms.expect(run)
            send(producer, run, mandatory=True)
        confirms.wait()


@contextmanager
def _own_channel(connection: Any) -> Iterator[Any]:
    """Yield a new channel of a connection on which, meanwhile, nothing waits for ever."""
    broker = connection.connection
    broker.transport.sock.settimeout(LONGEST_WAIT_SECONDS)
    broker.on_blocked = _raise_blocked
    channel = connection.channel()
    try:
        yield channel
    except (OperationalError, *connection.connection_errors):
        raise  # the whole connection is of no use any more
    except BaseException:
        channel.close()
        raise
    channel.close()
    broker.on_blocked = None
    broker.transport.sock.settimeout(None)


def _raise_blocked(reason: str) -> None:
    raise OperationalError(f"RabbitMQ blocks publishers, see its alarms: {reason}")


class _Confirms:
    """Counts delivery tags as the broker does: from 1, one a message of this channel."""

    def __init__(self, channel: Any, answers: Answers) -> None:
        self._channel = channel
        self._answers = answers
        self._next_tag = 1
        self._expected: dict[int, Parcel] = {}
        self._returned: dict[str, Exception] = {}
        # A connection that confirms gives its channels a publish that waits for each message.
        channel.basic_publish = channel._basic_publish  # noqa: SLF001 the one that does not wait
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def expect(self, run: Parcel) -> None:
        """The run's message is the next to be sent."""
        self._expected[self._next_tag] = run
        self._next_tag += 1

    def wait(self) -> None:
        """Wait until the broker has answered for every message."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while self._expected:
            left = deadline - time.monotonic()
            if left > 0:
                with suppress(TimeoutError):
                    self._channel.connection.drain_events(timeout=left)
                continue
            raise OperationalError(
                f"RabbitMQ did not confirm {len(self._expected)} messages within"
                f" {LONGEST_WAIT_SECONDS:g} s"
            )

    def _on_ack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 py-amqp's signature
        for run in self._answered(tag, multiple=multiple):
            error = self._returned.pop(str(run.attempt_id), None)
            if error is None:
                self._answers.sent(run)
            else:
                self._answers.unroutable(run, error)

    def _on_nack(self, tag: int, multiple: bool) -> None:  # noqa: FBT001 py-amqp's signature
        for run in self._answered(tag, multiple=multiple):
            self._answers.refused(run, MessageNacked("the queue takes no more messages"))

    def _on_return(self, error: AMQPError, _exchange: str, _key: str, message: Any) -> None:
        """No queue wants the message; the broker says so before it confirms it."""
        self._returned[message.properties["correlation_id"]] = error

    def _answered(self, tag: int, *, multiple: bool) -> list[Parcel]:
        tags = [known for known in self._expected if known <= tag] if multiple else [tag]
        return [self._expected.pop(known) for known in tags if known in self._expected]
