"""The results of all probes, measured once in a while: a flood of calls costs what one costs."""

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from health_check.base import HealthCheckResult

from monitoring.probes.measure import all_results

KEPT_SECONDS = 2.0


class RecentResults:
    """What the probes said at most `kept_seconds` ago, for all threads and event loops alike."""

    def __init__(self, *, kept_seconds: float = KEPT_SECONDS) -> None:
        self._kept_seconds = kept_seconds
        self._lock = Lock()
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="health")
        self._newest: Future[list[HealthCheckResult]] | None = None
        self._stale_at = 0.0

    async def get(self) -> list[HealthCheckResult]:
        """Return the kept results; measure where they are too old, wait where another measures."""
        # A caller who goes away must not cancel what others wait for.
        return await asyncio.shield(asyncio.wrap_future(self._current()))

    def _current(self) -> Future[list[HealthCheckResult]]:
        with self._lock:
            newest = self._newest
            if newest is None or (newest.done() and time.monotonic() >= self._stale_at):
                newest = self._newest = self._executor.submit(self._measure)
            return newest

    def _measure(self) -> list[HealthCheckResult]:
        results = all_results()
        self._stale_at = time.monotonic() + self._kept_seconds
        return results
