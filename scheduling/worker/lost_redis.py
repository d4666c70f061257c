"""Keeps a worker alive when its Redis goes away while it runs something.

kombu 5.7 still talks through a channel whose connection is gone: it gives unacknowledged messages
back when the channel closes, and acknowledges what finishes later. Both fail with an
AttributeError that nobody expects, and the worker exits. The messages are safe without that: the
ledger sends its own again, and Redis keeps any other in its list of unacknowledged ones.
"""

from typing import Any

from kombu.transport import redis
from kombu.transport.virtual import QoS


class PatientQoS(redis.QoS):
    """A QoS that tells the broker only what can reach it."""

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge, or forget a message of a connection that is gone."""
        if self._reaches_broker():
            super().ack(delivery_tag)
        else:
            QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 kombu's signature
        """Reject, or forget a message of a connection that is gone."""
        if self._reaches_broker():
            super().reject(delivery_tag, requeue)
        else:
            QoS.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        """Give the delivered messages back, or leave them to the broker's own timeout."""
        if self._reaches_broker():
            super().restore_unacked(client)
        elif self._delivered is not None:
            self._delivered.clear()

    def _reaches_broker(self) -> bool:
        connection = self.channel.connection
        return connection is not None and connection.client is not None


def install() -> None:
    """Have every Redis channel of this process use it."""
    redis.Channel.QoS = PatientQoS
