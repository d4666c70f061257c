"""When a job runs, in the words of seed 002: a cron, an interval or both, and who plans (SPEC A8).

Where both are given and disagree, the answer says which one counts (SPEC A1).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from django_celery_beat.models import PeriodicTask

from scheduling.conf import conf
from scheduling.engine.schedules import Schedule, schedule_of
from scheduling.errors import InvalidJob
from scheduling.models import Job
from scheduling.models.job import RescheduleMode
from scheduling.recurrence import Chain, Crontab, Interval, RecurrenceError

CRON_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICKS_COMPARED = 12  # of a cron, with an interval that is given beside it


@dataclass(frozen=True, kw_only=True)
class Timing:
    """A job's schedule as the API takes and tells it."""

    cron_expr: str | None
    every: timedelta | None
    zone: str
    mode: str

    @classmethod
    def of(cls, job: Job) -> "Timing":
        """Read a job with its periodic task; a solar or clocked one has neither of both."""
        row, every = job.schedule, job.next_delay
        crontab = row.crontab if row is not None else None
        if every is None and row is not None and row.interval is not None:
            every = _every_of(row)
        return cls(
            cron_expr=" ".join(getattr(crontab, name) for name in CRON_FIELDS) if crontab else None,
            every=every,
            zone=str(crontab.timezone) if crontab else conf.SCHEDULER_TIMEZONE,
            mode=job.reschedule_mode,
        )

    def schedule(self, now: datetime) -> Schedule | None:
        """Return what its periodic task says; None for a job that has none."""
        if self.cron_expr is not None:
            return Schedule(recurrence=self._crontab())
        if self.every is None or self._is_chain:
            return None
        try:
            return Schedule(recurrence=Interval(now, self.every))
        except RecurrenceError as error:
            raise InvalidJob("interval_seconds", str(error)) from error

    @property
    def next_delay(self) -> timedelta | None:
        """How long after an end the next run is due; it counts in queue mode only."""
        return self.every if self._is_chain else None

    def warnings(self, now: datetime) -> list[str]:
        """Say which of two schedules counts, where they disagree."""
        if self.cron_expr is None or self.every is None:
            return []
        seconds = f"{self.every.total_seconds():g}"
        cron = self._crontab()
        if self._is_chain and not Chain(self.every, cron).cron_decides:
            counts = (
                f"interval_seconds counts: each run is due {seconds} s after the end of the last; "
                f"cron_expr {self.cron_expr!r} says when the first one is"
            )
        else:
            counts = f"cron_expr {self.cron_expr!r} counts; it does not say every {seconds} s"
        return [] if _is_every(cron, self.every, now) else [counts]

    @property
    def _is_chain(self) -> bool:
        return self.mode == RescheduleMode.QUEUE

    def _crontab(self) -> Crontab:
        fields = (self.cron_expr or "").split()
        if len(fields) != len(CRON_FIELDS):
            raise InvalidJob(
                "cron_expr",
                f"{self.cron_expr!r} has {len(fields)} fields: give five, as in '0 9 * * 1-5' "
                "(minute hour day-of-month month day-of-week)",
            )
        try:
            return Crontab(zone=self.zone, **dict(zip(CRON_FIELDS, fields, strict=True)))
        except RecurrenceError as error:
            field = "timezone" if error.code == "unknown_zone" else "cron_expr"
            raise InvalidJob(field, str(error)) from error


def _every_of(row: PeriodicTask) -> timedelta | None:
    try:
        recurrence = schedule_of(row, anchor=EPOCH).recurrence
    except (InvalidJob, RecurrenceError):
        return None  # the row was corrupted, and says so in its error
    return recurrence.every if isinstance(recurrence, Interval) else None


def _is_every(cron: Crontab, every: timedelta, now: datetime) -> bool:
    """Whether the next ticks of a cron are that far from each other."""
    return all(later - tick == every for tick, later in pairwise(_next_ticks(cron, now)))


def _next_ticks(cron: Crontab, now: datetime) -> Iterator[datetime]:
    tick: datetime | None = now
    for _ in range(TICKS_COMPARED):
        if tick is None or (tick := cron.next_after(tick)) is None:
            return
        yield tick
