"""Tells any number of streams of this process of new events, with one poller for all of them.

The poller is a thread, so that it holds one connection of its own; it lives while somebody
listens. What it read of late is kept, so that a stream need not ask the database again.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from scheduling.conf import conf
from scheduling.engine.events.reading import Event, events_after, last_number

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
PAGE = 500
KEPT = 5_000
MOST_LISTENERS = 200
MOST_OF_ONE = 20  # of one token, or of one member of the staff


class TooManyListeners(Exception):  # noqa: N818 the name reads at the raise
    """This process, or whoever asks, has as many streams as may be; the text says which."""


class Listener:
    """Wakes a stream, in its own event loop."""

    def __init__(self, whose: str) -> None:
        self.whose = whose
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Say that there is news; from any thread."""
        self._loop.call_soon_threadsafe(self._news.set)

    async def has_news(self, *, within: float) -> bool:
        """Wait until there is news; False after so many seconds without."""
        try:
            await asyncio.wait_for(self._news.wait(), within)
        except TimeoutError:
            return False
        self._news.clear()
        return True


class EventHub:
    """One for each process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: set[Listener] = set()
        self._recent: deque[Event] = deque(maxlen=KEPT)
        self._known_after = 0  # every event behind this number is among the recent ones
        self._poller: threading.Thread | None = None

    @contextmanager
    def listening(self, whose: str) -> Iterator[Listener]:
        """Have a listener woken while the block lasts; raise TooManyListeners."""
        listener = Listener(whose)
        with self._lock:
            if len(self._listeners) >= MOST_LISTENERS:
                raise TooManyListeners(f"this process has {MOST_LISTENERS} streams already")
            if sum(other.whose == whose for other in self._listeners) >= MOST_OF_ONE:
                raise TooManyListeners(f"{MOST_OF_ONE} streams are open with this token already")
            self._listeners.add(listener)
            if self._poller is None:
                self._poller = threading.Thread(target=self._poll, name="ops-events", daemon=True)
                self._poller.start()
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners.discard(listener)

    def recent_after(self, seq: int) -> list[Event] | None:
        """Return the events behind a number; None where they are not all at hand."""
        with self._lock:
            if self._poller is None or seq < self._known_after:
                return None
            return [event for event in self._recent if event.seq > seq]

    def _poll(self) -> None:
        pause = threading.Event()
        head: int | None = None
        while self._goes_on():
            try:
                head = self._read_on(head)
            except Exception as error:  # noqa: BLE001 an outage of the database is waited out
                logger.warning("events_not_read", extra={"error": str(error)})
                connection.close()
            pause.wait(POLL_SECONDS)
        connection.close()

    def _goes_on(self) -> bool:
        with self._lock:
            if not self._listeners:
                self._poller = None
                self._recent.clear()
            return bool(self._listeners)

    def _read_on(self, head: int | None) -> int:
        if head is None:
            head = last_number()
            with self._lock:
                self._known_after = head
                self._wake_all()
        page = events_after(head, scope=conf.SCHEDULER_SCOPE, limit=PAGE)
        if page:
            with self._lock:
                overflow = len(self._recent) + len(page) - KEPT
                if overflow > 0:
                    self._known_after = [*self._recent, *page][overflow - 1].seq
                self._recent.extend(page)
                self._wake_all()
        return page[-1].seq if page else head

    def _wake_all(self) -> None:
        for listener in self._listeners:
            try:
                listener.wake()
            except RuntimeError:  # its loop is closed: the process ends
                continue


hub = EventHub()
