"""Times how a beat keeps in step with the periodic tasks of others."""

import resource
import time
from collections.abc import Iterator
from typing import Any

from django_celery_beat.models import PeriodicTask

from benchmarks.apps.ours import app
from scheduling.clock import database_now
from scheduling.engine.adoption.adopt import Adoption
from scheduling.engine.adoption.scan import ROUND_SECONDS
from scheduling.models import Job

KIB = 1024


def run() -> dict[str, Any]:
    """Return seconds until all is in step, and milliseconds of what follows.

    `first`: with a beat that knows nothing yet; `round`: each slice of a walk over all rows;
    `saved` and `updated`: from the change of one row until its job has it, the beat's sleep apart.
    """
    adoption = Adoption(app, "real")
    first = sum(_slices(adoption, monotonic=0)) / 1000
    walk = list(_slices(adoption, monotonic=ROUND_SECONDS, rested=True))
    return {
        "first": first,
        "round": walk,
        "saved": _saved(adoption),
        "updated": _updated(adoption),
        "jobs": Job.objects.filter(enabled=True, schedule_error="").count(),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB,
    }


def _slices(adoption: Adoption, *, monotonic: float, rested: bool = False) -> Iterator[float]:
    """Yield the milliseconds of each slice; `rested`: of a walk that may take its time, all."""
    scan = adoption._scan  # noqa: SLF001 a beat has no use for this question
    more = True
    while more:
        began = time.perf_counter()
        adoption.follow(now=database_now(), monotonic=monotonic)
        yield (time.perf_counter() - began) * 1000
        more = adoption.behind or (rested and scan.underway(monotonic=monotonic))


def _saved(adoption: Adoption) -> float:
    row = _one_of_the_middle()
    row.kwargs = f'{{"saved_at": {time.time()}}}'
    row.save()  # type: ignore[no-untyped-call] # it has no types
    return _until_known(adoption, row, monotonic=ROUND_SECONDS + 1)


def _updated(adoption: Adoption) -> float:
    row = _one_of_the_middle()
    row.kwargs = f'{{"updated_at": {time.time()}}}'
    PeriodicTask.objects.filter(pk=row.pk).update(kwargs=row.kwargs)
    return _until_known(adoption, row, monotonic=2 * ROUND_SECONDS)


def _one_of_the_middle() -> PeriodicTask:
    rows = PeriodicTask.objects.order_by("pk")
    row: PeriodicTask = rows[rows.count() // 2]
    return row


def _until_known(adoption: Adoption, row: PeriodicTask, *, monotonic: float) -> float:
    known, spent = Job.objects.get(schedule=row).params, 0.0
    while Job.objects.get(schedule=row).params == known:
        began = time.perf_counter()
        adoption.follow(now=database_now(), monotonic=monotonic)
        spent += time.perf_counter() - began
    return spent * 1000
