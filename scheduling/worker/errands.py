"""Does what follows an end from a thread of its own: chains, and runs that may now start.

The recorder must not wait for a broker, and the event loop for nothing. What such a thread cannot
do before its process dies, a beat does.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from django.db import connection

from scheduling.outage import is_outage

logger = logging.getLogger(__name__)

OUTAGE_WAIT_SECONDS = 1.0

Item = TypeVar("Item", bound=Any)  # what an errand is about; asked for twice, it is done once


class Errands(threading.Thread, Generic[Item]):
    """One kind of them; idle, and without a connection, where nobody asks."""

    def __init__(self, name: str, do: Callable[[Sequence[Item]], object]) -> None:
        super().__init__(name=f"ops-{name}", daemon=True)
        self._do = do
        self._items: set[Item] = set()
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._stopping = threading.Event()

    def ask(self, *items: Item) -> None:
        """Have it done soon."""
        with self._lock:
            self._items.update(items)
        self._arrived.set()

    def stop(self, timeout: float) -> None:
        """Do what is left and end the thread, within `timeout` seconds."""
        self._stopping.set()
        self._arrived.set()
        self.join(timeout)

    def run(self) -> None:
        """Do what comes until stopped and empty; an outage is waited out."""
        while self._items or not self._stopping.is_set():
            self._arrived.wait()
            self._arrived.clear()
            while items := self._take():
                self._try(items)
        connection.close()

    def _take(self) -> list[Item]:
        with self._lock:
            items, self._items = sorted(self._items), set()
        return items

    def _try(self, items: Sequence[Item]) -> None:
        try:
            self._do(items)
        except Exception as error:
            if is_outage(error):
                self._wait_out(error, items)
                return
            # The beat is the safety net; this thread goes on with what comes.
            logger.exception("errand_failed", extra={"kind": self.name, "items": len(items)})

    def _wait_out(self, error: Exception, items: Sequence[Item]) -> None:
        logger.warning("database_unreachable", extra={"error": str(error)})
        connection.close()
        if not self._stopping.wait(OUTAGE_WAIT_SECONDS):
            self.ask(*items)
