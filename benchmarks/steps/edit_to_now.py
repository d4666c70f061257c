"""Edits one schedule row as the stock admin does: from now on it is due, once, at this instant."""

import time
from datetime import UTC, datetime

from django_celery_beat.models import ClockedSchedule, PeriodicTask


def run(number: int) -> float:
    """Set the row to be due now, by `save()`; return when that was committed."""
    row = PeriodicTask.objects.get(name=f"real:bench-{number}")
    row.clocked = ClockedSchedule.objects.create(clocked_time=datetime.now(UTC))
    row.crontab, row.one_off = None, True
    row.save()  # type: ignore[no-untyped-call] # it has no types
    return time.time()
