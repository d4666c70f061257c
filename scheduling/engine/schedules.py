"""Between django-celery-beat's schedule rows and our recurrences, in both directions."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from scheduling.errors import InvalidJob
from scheduling.recurrence import Chain, Clocked, Crontab, Interval, Recurrence, Solar
from scheduling.verdicts import INSTANT

KINDS = ("interval", "crontab", "solar", "clocked")  # where several are set, the first counts
LARGEST_COUNT = 2**31 - 1  # that the row of an interval can hold
INTERVAL_UNITS = (
    (IntervalSchedule.SECONDS, timedelta(seconds=1)),
    (IntervalSchedule.MICROSECONDS, timedelta(microseconds=1)),
    (IntervalSchedule.MINUTES, timedelta(minutes=1)),
)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When a job falls due: a recurrence and its bounds; a tick may lie on either of them."""

    recurrence: Interval | Crontab | Clocked | Solar | Chain
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def begins_after(self, at: datetime, *, earliest: datetime) -> datetime:
        """Return the instant after which the first tick lies when the schedule holds from `at` on.

        A clocked one that has just passed is reached back for, no further than `earliest`: it has
        no other tick, and who sets "now" means it.
        """
        if isinstance(self.recurrence, Clocked) and earliest < self.recurrence.at <= at:
            at = self.recurrence.at - INSTANT
        return max(at, self.starts_at - INSTANT) if self.starts_at else at


def schedule_of(row: PeriodicTask, *, anchor: datetime) -> Schedule:
    """Read a row's schedule; an interval's grid starts at `anchor` unless the row says where.

    A row with a start falls due there for the first time, as under django-celery-beat's own
    scheduler. Raises InvalidJob for a row without schedule, RecurrenceError for a bad value.
    """
    return Schedule(
        recurrence=_recurrence(row, anchor), starts_at=row.start_time, ends_at=row.expires
    )


def _recurrence(row: PeriodicTask, anchor: datetime) -> Interval | Crontab | Clocked | Solar:
    if row.interval is not None:
        every = _every(row.interval)
        return Interval(row.start_time - every if row.start_time else anchor, every)
    if row.crontab is not None:
        return _crontab(row.crontab)
    if row.solar is not None:
        return Solar(row.solar.event, float(row.solar.latitude), float(row.solar.longitude))
    if row.clocked is not None:
        return Clocked(row.clocked.clocked_time)
    raise InvalidJob("schedule", f"none is set: choose one of {', '.join(KINDS)}")


def _every(row: IntervalSchedule) -> timedelta:
    try:
        return timedelta(**{row.period: row.every})
    except (TypeError, OverflowError) as error:
        raise InvalidJob(
            "interval", f"{row.every} {row.period!r}: give a number of days, hours, minutes …"
        ) from error


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


def row_fields(recurrence: Interval | Crontab | Clocked | Solar | Chain) -> dict[str, Any]:
    """Return the PeriodicTask fields for a recurrence.

    django-celery-beat shares schedule rows between tasks: one is found or created, never edited.
    A chain is made of a row and a mode, and is none itself.
    """
    if isinstance(recurrence, Chain):
        raise InvalidJob("schedule", "a chain has no row: give its crontab or interval instead")
    return {**dict.fromkeys(KINDS), recurrence.kind: _schedule_row(recurrence)}


def _schedule_row(recurrence: Interval | Crontab | Clocked | Solar) -> Any:
    match recurrence:
        case Interval():
            return _interval_row(recurrence.every)
        case Crontab():
            return _found_or_made(
                CrontabSchedule,
                minute=recurrence.minute,
                hour=recurrence.hour,
                day_of_week=recurrence.day_of_week,
                day_of_month=recurrence.day_of_month,
                month_of_year=recurrence.month_of_year,
                timezone=recurrence.zone,
            )
        case Clocked():
            return _found_or_made(ClockedSchedule, clocked_time=recurrence.at)
        case Solar():
            return _found_or_made(
                SolarSchedule,
                event=recurrence.event,
                latitude=Decimal(str(recurrence.latitude)),
                longitude=Decimal(str(recurrence.longitude)),
            )


def _interval_row(every: timedelta) -> Any:
    for period, unit in INTERVAL_UNITS:
        if not every % unit and every // unit <= LARGEST_COUNT:
            return _found_or_made(IntervalSchedule, every=every // unit, period=period)
    raise InvalidJob(
        "interval",
        f"{every} cannot be kept: give whole seconds above 35 minutes, minutes above 68 years",
    )


def _found_or_made(kind: Any, **fields: Any) -> Any:
    """Django's get_or_create fails where somebody made the same row twice."""
    return kind.objects.filter(**fields).first() or kind.objects.create(**fields)
