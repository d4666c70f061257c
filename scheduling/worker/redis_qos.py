"""What this worker does otherwise than kombu where its broker is Redis.

The ledger brings a lost message back, so a fenced one is not entered into Redis's list of
unacknowledged ones and struck off again: two round trips a message. What has not begun when the
worker ends is pushed back from memory.

And a worker lives on when its Redis goes away while it runs something. kombu 5.7 still talks
through a channel whose connection is gone: it gives messages back when the channel closes, and
acknowledges what finishes later. Both fail with an AttributeError that nobody expects, and the
worker exits. The messages are safe without that: the ledger sends its own again, and Redis keeps
any other in its list.
"""

from typing import Any, cast

from kombu.transport import redis
from kombu.transport.virtual import QoS

from scheduling.fence import HEADER


class LedgerQoS(redis.QoS):
    """A QoS that tells the broker only what it has to know, and what can reach it."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Remember a delivered message, in Redis too if only Redis could bring it back."""
        if HEADER in (message.headers or {}):
            QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge, or forget a message of a connection that is gone."""
        if self._reaches_broker() and not self._is_ours(delivery_tag):
            super().ack(delivery_tag)
        else:
            QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 kombu's signature
        """Reject, or forget a message of a connection that is gone."""
        if not self._reaches_broker():
            QoS.ack(self, delivery_tag)
        elif not self._is_ours(delivery_tag):
            super().reject(delivery_tag, requeue)
        else:
            if requeue:
                self._push_back(self.get(delivery_tag))
            QoS.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        """Give the delivered messages back, or leave them to the ledger and the broker."""
        if self._delivered is None:
            return
        if self._reaches_broker():
            for tag in [tag for tag in self._delivered if self._is_ours(tag)]:
                self._push_back(self._delivered.pop(tag))
            super().restore_unacked(client)
        self._delivered.clear()

    def _is_ours(self, delivery_tag: str) -> bool:
        message = None if self._delivered is None else self._delivered.get(delivery_tag)
        return message is not None and HEADER in (message.headers or {})

    def _push_back(self, message: Any) -> None:
        """As kombu does it, but from what was received instead of from Redis."""
        delivery, channel = message.delivery_info, cast("Any", self.channel)
        with channel.conn_or_acquire() as client, client.pipeline() as pipe:
            channel._do_restore_message(  # noqa: SLF001 it has no public name
                message._raw,  # noqa: SLF001
                delivery["exchange"],
                delivery["routing_key"],
                pipe,
                leftmost=False,
            )
            pipe.execute()

    def _reaches_broker(self) -> bool:
        connection = self.channel.connection
        return connection is not None and connection.client is not None


def install() -> None:
    """Have every Redis channel of this process use it."""
    redis.Channel.QoS = LedgerQoS
