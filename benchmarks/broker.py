"""What lies on a broker, as seen from outside."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError

LOOK_EVERY_SECONDS = 0.01


class Depth:
    """Asks, over one connection, how many messages wait in a queue."""

    def __init__(self, connection: Any, queue: str) -> None:
        self._connection = connection
        self._queue = queue

    def now(self) -> int:
        """Return how many wait; 0 if there is no such queue yet."""
        channel: Any = self._connection.channel()
        try:
            return int(channel.queue_declare(queue=self._queue, passive=True).message_count)
        except (ChannelError, OperationalError, *self._connection.channel_errors):
            return 0
        finally:
            channel.close()

    def wait_for(self, count: int, *, seconds: float) -> tuple[int, float]:
        """Wait for so many, or so long; return how many and when, in seconds since 1970."""
        deadline = time.time() + seconds
        while (found := self.now()) < count and time.time() < deadline:
            time.sleep(LOOK_EVERY_SECONDS)
        return found, time.time()


@contextmanager
def depth_of(url: str, queue: str) -> Iterator[Depth]:
    """Yield the depth of a queue on a broker."""
    with Connection(url) as connection:
        yield Depth(connection, queue)
