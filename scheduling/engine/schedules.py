"""Between django-celery-beat's schedule rows and our recurrences, in both directions."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from scheduling.errors import InvalidJob
from scheduling.recurrence import Crontab, Interval, Recurrence


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a job falls due: a recurrence and its bounds."""

    recurrence: Interval | Crontab
    starts_at: datetime | None = None
    ends_at: datetime | None = None


def schedule_of(row: PeriodicTask, *, anchor: datetime) -> Schedule:
    """Read a row's schedule; an interval's grid starts at `anchor` unless the row says where.

    Raises InvalidJob for the kinds that are not planned here, RecurrenceError for a bad value.
    """
    bounds = {"starts_at": row.start_time, "ends_at": row.expires}
    if row.interval is not None:
        every = timedelta(**{row.interval.period: row.interval.every})
        return Schedule(recurrence=Interval(row.start_time or anchor, every), **bounds)
    if row.crontab is not None:
        return Schedule(recurrence=_crontab(row.crontab), **bounds)
    raise InvalidJob("schedule", "only interval and crontab schedules are planned: choose one")


def _crontab(row: CrontabSchedule) -> Crontab:
    return Crontab(
        minute=row.minute,
        hour=row.hour,
        day_of_week=row.day_of_week,
        day_of_month=row.day_of_month,
        month_of_year=row.month_of_year,
        zone=str(row.timezone),
    )


def same_rule(one: Recurrence, other: Recurrence) -> bool:
    """Say whether two recurrences are the same but for where an interval's grid started."""
    if isinstance(one, Interval) and isinstance(other, Interval):
        return one.every == other.every
    return one == other


def row_fields(recurrence: Interval | Crontab) -> dict[str, Any]:
    """Return the PeriodicTask fields for a recurrence.

    django-celery-beat shares schedule rows between tasks: one is found or created, never edited.
    """
    if isinstance(recurrence, Interval):
        return {"interval": _interval_row(recurrence.every), "crontab": None}
    row, _ = CrontabSchedule.objects.get_or_create(
        minute=recurrence.minute,
        hour=recurrence.hour,
        day_of_week=recurrence.day_of_week,
        day_of_month=recurrence.day_of_month,
        month_of_year=recurrence.month_of_year,
        timezone=recurrence.zone,
    )
    return {"crontab": row, "interval": None}


def _interval_row(every: timedelta) -> IntervalSchedule:
    if every % timedelta(seconds=1):
        period, count = IntervalSchedule.MICROSECONDS, every // timedelta(microseconds=1)
    else:
        period, count = IntervalSchedule.SECONDS, every // timedelta(seconds=1)
    row = IntervalSchedule.objects.filter(every=count, period=period).first()
    return row or IntervalSchedule.objects.create(every=count, period=period)


def json_value(text: str, field: str, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    """Read a row's JSON text; raise InvalidJob if it is not a `kind`."""
    try:
        value = json.loads(text or ("[]" if kind is list else "{}"))
    except ValueError as error:
        raise InvalidJob(field, f"not JSON ({error}): correct it in the periodic task") from error
    if not isinstance(value, kind):
        raise InvalidJob(field, f"must be a JSON {'array' if kind is list else 'object'}")
    return value
