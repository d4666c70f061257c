"""Goes on with chains whose link ended here, or came here too early, from a thread of its own.

The recorder must not wait for a broker, and the event loop for nothing. What this thread cannot do
before its process dies, a beat does.
"""

import logging
import threading
from collections.abc import Sequence
from datetime import datetime

from celery import Celery
from django.db import connection

from scheduling.clock import database_now
from scheduling.engine.chains.chain import follow
from scheduling.engine.chains.delay_queue import wait_at_broker
from scheduling.models import Run
from scheduling.outage import is_outage

logger = logging.getLogger(__name__)

OUTAGE_WAIT_SECONDS = 1.0


class Chains(threading.Thread):
    """One per worker process; idle, and without a connection, where no job is in queue mode."""

    def __init__(self, app: Celery) -> None:
        super().__init__(name="ops-chains", daemon=True)
        self._app = app
        self._jobs: set[int] = set()
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._stopping = threading.Event()

    def look_after(self, job_id: int) -> None:
        """A message of this job's chain is done with: its link ended, or was refused."""
        with self._lock:
            self._jobs.add(job_id)
        self._arrived.set()

    def stop(self, timeout: float) -> None:
        """Do what is left and end the thread, within `timeout` seconds."""
        self._stopping.set()
        self._arrived.set()
        self.join(timeout)

    def run(self) -> None:
        """Go on with what comes until stopped and empty; an outage is waited out."""
        while self._jobs or not self._stopping.is_set():
            self._arrived.wait()
            self._arrived.clear()
            while jobs := self._take():
                self._go_on(jobs)
        connection.close()

    def _take(self) -> list[int]:
        with self._lock:
            jobs, self._jobs = sorted(self._jobs), set()
        return jobs

    def _go_on(self, jobs: Sequence[int]) -> None:
        try:
            now = database_now()
            new = follow(jobs, now=now)
            early = _too_early(jobs, now, but=new)
            wait_at_broker(self._app, [*new, *early], now=now)
        except Exception as error:
            if is_outage(error):
                self._wait_out(error, jobs)
                return
            # The beat is the safety net; this thread goes on with other chains.
            logger.exception("chains_not_followed", extra={"jobs": len(jobs)})

    def _wait_out(self, error: Exception, jobs: Sequence[int]) -> None:
        logger.warning("database_unreachable", extra={"error": str(error)})
        connection.close()
        if not self._stopping.wait(OUTAGE_WAIT_SECONDS):
            for job_id in jobs:
                self.look_after(job_id)


def _too_early(jobs: Sequence[int], now: datetime, *, but: Sequence[Run]) -> list[Run]:
    """Return links that are not due, though the message of their chain came: it was too early."""
    waiting = Run.objects.waiting_links().filter(job_id__in=jobs, not_before__gt=now)
    return list(waiting.exclude(pk__in=[link.pk for link in but]).select_related("job"))
