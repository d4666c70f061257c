"""Watches the workers, from a thread of its own: a broker that hangs must not blind the beat.

What it sees is trusted only while it looks often (DESIGN rule 9), and a turn may be held up.
"""

import logging
import threading
import time

from django.db import connection

from scheduling.clock import database_now
from scheduling.engine.liveness import LEASE_SECONDS, Liveness
from scheduling.engine.recover import take_from_lost_workers, take_from_silent_reporters
from scheduling.outage import is_outage

logger = logging.getLogger(__name__)

EVERY_SECONDS = 1.0


class WorkerWatch(threading.Thread):
    """One per beat process. An outage of the database is waited out."""

    def __init__(self, scope: str) -> None:
        super().__init__(name="ops-worker-watch", daemon=True)
        self._scope = scope
        self._liveness = Liveness(loop_seconds=EVERY_SECONDS)
        self._leases = Liveness(loop_seconds=EVERY_SECONDS, lost_after=LEASE_SECONDS)
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopping.is_set():
            try:
                self._look()
            except Exception as error:
                # Tables that are not migrated yet are no reason either to stop watching for good.
                if is_outage(error):
                    logger.warning("database_unreachable", extra={"error": str(error)})
                else:
                    logger.exception("worker_watch_failed", extra={"scope": self._scope})
                connection.close()
            self._stopping.wait(EVERY_SECONDS)
        connection.close()

    def stop(self) -> None:
        """End after the present look, which a database that hangs may hold up."""
        self._stopping.set()
        if self.is_alive():
            self.join(EVERY_SECONDS)

    def _look(self) -> None:
        now, monotonic = database_now(), time.monotonic()
        take_from_lost_workers(self._scope, self._liveness, now=now, monotonic=monotonic)
        take_from_silent_reporters(self._scope, self._leases, now=now, monotonic=monotonic)
