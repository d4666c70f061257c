"""Proves the account of the ledger: planned = verdicts + open, tick by tick (SPEC A3).

What was planned is computed from the schedule epochs alone; what happened is read from runs and
skipped ticks. The two never meet before this comparison, so a tick that is missing, doubled or
invented shows.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from django.db import connection, transaction

from scheduling.clock import OUTAGE
from scheduling.logs import configured_redactor
from scheduling.models import Job, Run, ScheduleEpoch, SkippedTicks
from scheduling.recurrence import Recurrence, RecurrenceError
from scheduling.states import FINAL, RunState
from scheduling.verdicts import INSTANT

MOST_PROBLEMS = 20


@dataclass
class Account:
    """One job's ticks in a window; `verdicts` by final state, skips as `skipped:<reason>`."""

    scope: str
    job_id: str
    planned: int = 0
    open: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def closes(self) -> bool:
        """Whether every planned tick has exactly one verdict or is open, and nothing is extra."""
        return not self.problems and self.planned == self.verdicts.total() + self.open

    def note(self, problem: str) -> None:
        """Keep a problem, up to a bound: the first ones tell enough."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def accounts(
    scope: str, *, now: datetime, job_id: str | None = None, since: datetime | None = None
) -> list[Account]:
    """Return the account of each job of a scope, deleted ones included, or of one job."""
    jobs = Job.objects.filter(scope=scope).order_by("job_id")
    if job_id is not None:
        jobs = jobs.filter(job_id=job_id)
    return [
        _account_or_reason(scope, pk, name, now=now, since=since)
        for pk, name in jobs.values_list("id", "job_id")
    ]


def _account_or_reason(
    scope: str, job_pk: int, job_id: str, *, now: datetime, since: datetime | None
) -> Account:
    try:
        return account_of(job_pk, now=now, since=since)
    except OUTAGE:
        raise
    except Exception as error:  # noqa: BLE001 a row that was corrupted by hand can fail anyhow
        text = configured_redactor().text(f"the job cannot be read: {error}")
        return Account(scope=scope, job_id=job_id, problems=[text])


def account_of(job_pk: int, *, now: datetime, since: datetime | None = None) -> Account:
    """Return one job's account for the ticks in (since, now], read as of one moment."""
    with _one_moment():
        job = Job.objects.get(id=job_pk)
        account = Account(scope=job.scope, job_id=job.job_id)
        for epoch in ScheduleEpoch.objects.filter(job=job).order_by("from_at", "id"):
            try:
                _add_epoch(account, job, epoch, since=since, now=now)
            except RecurrenceError as error:
                account.note(f"epoch {epoch.pk} cannot be read: {error}")
    return account


@contextmanager
def _one_moment() -> Iterator[None]:
    """Read everything as of one moment while the platform goes on writing."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield
    else:
        # Django's own transactions take SQLite's write lock at once, and would hold up the beat.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")


def _add_epoch(
    account: Account, job: Job, epoch: ScheduleEpoch, *, since: datetime | None, now: datetime
) -> None:
    low = max(filter(None, (epoch.from_at, since)))
    end = min(filter(None, (epoch.to_at, epoch.ends_at, now)))
    judged_until = end if epoch.to_at else min(end, job.planned_until or epoch.from_at)
    if low < judged_until:
        _add_judged(account, _read(epoch, low, judged_until))
    # Due, and no beat has looked yet: planned and open.
    waiting = epoch.recurrence().count(max(low, judged_until), end) if low < end else 0
    account.planned += waiting
    account.open += waiting


@dataclass(frozen=True)
class _Window:
    """The part (low, high] of one epoch that was asked for, with what happened in it."""

    recurrence: Recurrence
    low: datetime
    high: datetime
    runs: dict[datetime, tuple[str, str]]  # tick: (state, reason)
    spans: list[SkippedTicks]


def _add_judged(account: Account, window: _Window) -> None:
    account.planned += window.recurrence.count(window.low, window.high)
    _count(account, window)
    for problem in (*_invented(window), *_doubled(window), *_missing(window)):
        account.note(problem)


def _read(epoch: ScheduleEpoch, low: datetime, high: datetime) -> _Window:
    runs = Run.objects.filter(epoch=epoch, scheduled_for__gt=low, scheduled_for__lte=high)
    spans = SkippedTicks.objects.filter(epoch=epoch, until__gt=low, after__lt=high)
    return _Window(
        recurrence=epoch.recurrence(),
        low=low,
        high=high,
        runs={
            tick: (state, reason)
            for tick, state, reason in runs.order_by("scheduled_for").values_list(
                "scheduled_for", "state", "reason"
            )
            if tick is not None
        },
        spans=list(spans.order_by("after")),
    )


def _count(account: Account, window: _Window) -> None:
    for state, reason in window.runs.values():
        if state not in FINAL:
            account.open += 1
        elif state == RunState.SKIPPED:
            account.verdicts[f"skipped:{reason}"] += 1
        else:
            account.verdicts[state] += 1
    for span in window.spans:
        inside = window.recurrence.count(max(span.after, window.low), min(span.until, window.high))
        account.verdicts[f"skipped:{span.reason}"] += inside


def _invented(window: _Window) -> Iterator[str]:
    for tick in window.runs:
        if not window.recurrence.count(tick - INSTANT, tick):
            yield f"{tick.isoformat()} has a run but was never planned"
    for span in window.spans:
        if window.recurrence.count(span.after, span.until) != span.count:
            yield f"skipped ticks {span.pk} count {span.count}, their schedule says otherwise"


def _doubled(window: _Window) -> Iterator[str]:
    for one, other in pairwise(window.spans):
        if other.after < one.until:
            yield f"skipped ticks {one.pk} and {other.pk} overlap"
    starts = [span.after for span in window.spans]
    for tick in window.runs:
        place = bisect_left(starts, tick) - 1
        if place >= 0 and tick <= window.spans[place].until:
            yield f"{tick.isoformat()} has a run and a skip verdict"


def _missing(window: _Window) -> Iterator[str]:
    """Look at every gap between verdicts: no tick may lie in one."""
    settled = [(tick - INSTANT, tick) for tick in window.runs]
    settled += [(span.after, span.until) for span in window.spans]
    position = window.low
    for start, end in (*sorted(settled), (window.high, window.high)):
        if start > position and window.recurrence.count(position, start):
            tick = window.recurrence.next_after(position)
            yield f"{tick.isoformat() if tick else position} has no verdict"
        position = max(position, end)
