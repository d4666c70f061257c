"""Brings back what Celery forgets when its consumer starts anew, and the ledger does not.

Closing a consumer empties the pool's list of jobs that no process has acknowledged yet, also of
those that were handed to one already: their results would be thrown away, and their runs would
run for ever. It also forgets who waits for a free process.
"""

from typing import Any

from scheduling.worker.runtime import runtime
from scheduling.worker.stop import Cause


def remember_jobs(pool: Any) -> None:
    """Put written jobs back into the pool's list; give back those that never reached a process."""
    cache = pool._cache  # noqa: SLF001 there is no public way
    for fence, request in runtime.attempts:
        job = request.job
        if request.over or job is None or job.ready() or job._job in cache:  # noqa: SLF001
            continue
        if job._write_to is not None:  # noqa: SLF001
            cache[job._job] = job  # noqa: SLF001
        else:
            request.unbegin()
            runtime.stopper.wish(fence, Cause.YIELD)
