"""Times the ticks of stock django-celery-beat while nothing is due."""

import time

from django_celery_beat.schedulers import DatabaseScheduler

from benchmarks.apps.stock import app


def run(turns: int) -> list[float]:
    """Return the milliseconds of each tick after the first."""
    scheduler = DatabaseScheduler(app=app)  # type: ignore[no-untyped-call] # it has no types
    scheduler.tick()
    milliseconds = []
    for _ in range(turns):
        began = time.perf_counter()
        scheduler.tick()
        milliseconds.append((time.perf_counter() - began) * 1000)
    return milliseconds
