"""Writes many schedule rows of django-celery-beat; the jobs of ours are made of the same rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from django.db import transaction
from django_celery_beat.models import (
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
)

from benchmarks.apps import NOOP

CHUNK = 2_000
HOUR = timedelta(hours=1)
MINUTES = 60


def run(rows: int, queue: str | None, due_at: float | None = None) -> None:
    """Write hourly rows that all fall due at an instant (seconds since 1970).

    Without an instant, rows that run every hour of the day after tomorrow, at all its minutes:
    nothing is due, and no hour is named by which stock beat could leave them out.
    """
    schedules = _not_due() if due_at is None else _due(datetime.fromtimestamp(due_at, UTC))
    numbered = enumerate(islice(schedules, rows))
    while chunk := list(islice(numbered, CHUNK)):
        with transaction.atomic():
            PeriodicTask.objects.bulk_create(
                PeriodicTask(name=f"real:bench-{number}", task=NOOP, queue=queue, **schedule)
                for number, schedule in chunk
            )
    PeriodicTasks.update_changed()  # type: ignore[no-untyped-call] # it has no types


def _due(due_at: datetime) -> Iterator[dict[str, Any]]:
    interval = IntervalSchedule.objects.create(every=3600, period=IntervalSchedule.SECONDS)
    while True:
        yield {"interval": interval, "last_run_at": due_at - HOUR}


def _not_due() -> Iterator[dict[str, Any]]:
    day = str((datetime.now(UTC) + timedelta(days=2)).day)
    crontabs = [
        CrontabSchedule.objects.create(minute=str(minute), day_of_month=day, timezone="UTC")
        for minute in range(MINUTES)
    ]
    while True:
        yield from ({"crontab": crontab} for crontab in crontabs)
