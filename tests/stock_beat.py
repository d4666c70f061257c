"""A database as stock django-celery-beat leaves it, without any table of ours.

`python -m tests.stock_beat DATABASE_URL ROWS` makes one and prints, as JSON, when stock beat would
fire each of its tasks next.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import dj_database_url
import django
from django.conf import settings
from django.core.management import call_command

ZONES = ("UTC", "Asia/Seoul", "Asia/Kolkata")  # their clocks do not change


def main(url: str, rows: int) -> None:
    """Migrate, fill, tell."""
    settings.configure(
        DATABASES={"default": dj_database_url.parse(url)},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=["django_celery_beat"],
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    _fill(rows)
    sys.stdout.write(json.dumps(_next_times()))


def _fill(rows: int) -> None:
    from django_celery_beat.models import (  # noqa: PLC0415 models need settings
        ClockedSchedule,
        CrontabSchedule,
        IntervalSchedule,
        PeriodicTask,
        SolarSchedule,
    )

    now = datetime.now(UTC)
    intervals = [IntervalSchedule.objects.create(every=n, period="hours") for n in range(1, 30)]
    crontabs = [
        CrontabSchedule.objects.create(minute=str(n * 7 % 60), hour=hour, timezone=zone)
        for n in range(30)
        for zone in ZONES
        for hour in ("*", str(n % 24), "8-18/2")
    ]
    suns = [
        SolarSchedule.objects.create(event=event, latitude=latitude, longitude=n)
        for n, latitude in enumerate(range(-60, 60, 7))
        for event in ("sunrise", "solar_noon", "dusk_nautical")
    ]
    moments = [
        ClockedSchedule.objects.create(clocked_time=now + timedelta(hours=n)) for n in range(1, 20)
    ]
    kinds = (("interval", intervals), ("crontab", crontabs), ("solar", suns), ("clocked", moments))
    PeriodicTask.objects.bulk_create(
        PeriodicTask(
            name=f"task {n}",
            task="tests.task",
            kwargs=json.dumps({"number": n}),
            one_off=kind == "clocked",
            last_run_at=None if kind == "clocked" else now - timedelta(minutes=n % 50),
            **{kind: schedules[n // len(kinds) % len(schedules)]},
        )
        for n in range(rows)
        for kind, schedules in [kinds[n % len(kinds)]]
    )


def _next_times() -> dict[str, str]:
    """Return what stock beat's own entries say, for those that it would not fire right now."""
    from celery import Celery  # noqa: PLC0415 the same
    from django_celery_beat.models import PeriodicTask  # noqa: PLC0415 the same
    from django_celery_beat.schedulers import ModelEntry  # noqa: PLC0415 the same

    app, times = Celery(set_as_current=True), {}
    for row in PeriodicTask.objects.select_related("interval", "crontab", "solar", "clocked"):
        asked_at = datetime.now(UTC)
        entry: Any = ModelEntry(row, app=app)  # type: ignore[no-untyped-call] # it has no types
        state = entry.is_due()
        if not state.is_due:
            times[row.name] = (asked_at + timedelta(seconds=state.next)).isoformat()
    return times


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
