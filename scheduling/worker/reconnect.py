"""Brings back what Celery forgets when its consumer starts anew, and the ledger does not.

Closing a consumer empties the pool's list of jobs that no process has acknowledged yet, also of
those that were handed to one already: their results would be thrown away, and their runs would
run for ever. It also forgets who waits for a free process, and dies of a process that has just
ended.
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


def watch_ended_processes(pool: Any) -> None:
    """Let the new event loop hear of processes whose end the old one had begun to deal with.

    Celery keeps None for them as what to listen to, and the worker dies when it listens to that.
    """
    for process in list(pool._pool):  # noqa: SLF001 there is no public way
        if getattr(process, "_sentinel_poll", 0) is None and process._popen is not None:  # noqa: SLF001
            del process._sentinel_poll  # noqa: SLF001 it then takes the process's own anew
