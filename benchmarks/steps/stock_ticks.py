"""Times the ticks of stock django-celery-beat while nothing is due."""

import resource
import time
from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from benchmarks.apps.stock import app

KIB = 1024


def run(turns: int) -> dict[str, Any]:
    """Return the milliseconds of each tick after the first, and how much memory they took."""
    scheduler = DatabaseScheduler(app=app)  # type: ignore[no-untyped-call] # it has no types
    scheduler.tick()
    milliseconds = []
    for _ in range(turns):
        began = time.perf_counter()
        scheduler.tick()
        milliseconds.append((time.perf_counter() - began) * 1000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB
    return {"milliseconds": milliseconds, "peak_bytes": peak}
