"""The proof of a chain: its runs are its ticks, one at a time, and each is followed by the next.

A schedule's ticks can be computed, a chain's cannot: here it is held against itself (SPEC A8).
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from django.db.models import Count, F, Q, Window
from django.db.models.functions import Lag

from scheduling.ledger.account import MOST_PROBLEMS, Account, Trouble
from scheduling.models import Job, Pause, Run, ScheduleEpoch
from scheduling.models.run import RunQuerySet
from scheduling.recurrence import Chain, RecurrenceError
from scheduling.states import FINAL
from scheduling.tally import day_of, verdict_name

GRACE = timedelta(minutes=1)  # a beat that restarts has so long to mend a chain


def chain_epochs(job: Job) -> list[ScheduleEpoch]:
    """Return the times in which a job was a chain."""
    return list(ScheduleEpoch.objects.filter(job=job, kind=Chain.kind).order_by("from_at"))


def days_of_chains(days: Iterable[date], chains: Iterable[ScheduleEpoch]) -> set[date]:
    """Return those of the days on which the job was a chain, if only for a while."""
    ends = [(day_of(epoch.from_at), epoch.to_at and day_of(epoch.to_at)) for epoch in chains]
    return {
        day
        for day in days
        if any(begin <= day and (end is None or day <= end) for begin, end in ends)
    }


def prove_chains(
    account: Account, job: Job, chains: Sequence[ScheduleEpoch], *, low: datetime, now: datetime
) -> None:
    """Count the links of (low, now], and note what overlaps, or goes on nowhere."""
    if not chains:
        return
    links = Run.objects.filter(job=job, epoch__in=chains, scheduled_for__gt=low)
    _count(account, links.filter(scheduled_for__lte=now))
    _note_overlaps(account, links)
    if job.is_chained and job.enabled and job.deleted_at is None:
        _note_broken(account, chains[-1], now)


def _count(account: Account, links: RunQuerySet) -> None:
    groups = links.order_by().values_list("state", "reason").annotate(Count("id"))
    for state, reason, count in groups:
        account.planned += count
        if state in FINAL:
            account.verdicts[verdict_name(state, reason)] += count
        else:
            account.open += count


def _note_overlaps(account: Account, links: RunQuerySet) -> None:
    """Each link is planned at the end of the one before; those re-opened since do not count."""
    by_tick = F("scheduled_for").asc()
    paired = links.annotate(
        ended=Window(Lag("finished_at"), order_by=by_tick),
        before=Window(Lag("scheduled_for"), order_by=by_tick),
        planned=Window(Lag("not_before"), order_by=by_tick),
    )
    doubled = paired.filter(
        Q(ended=None) | Q(ended__gt=F("not_before")), before__isnull=False, planned__isnull=False
    )
    pairs = doubled.order_by("scheduled_for").values_list("before", "scheduled_for")
    for before, tick in pairs[:MOST_PROBLEMS]:
        account.note(Trouble.DOUBLED, f"the links of {before} and {tick} overlap")


def _note_broken(account: Account, epoch: ScheduleEpoch, now: datetime) -> None:
    """Note a chain whose newest run ended a while ago, if another should have followed."""
    planned = Run.objects.filter(job=epoch.job_id, scheduled_for__isnull=False)
    newest = planned.order_by("-scheduled_for").first()
    if epoch.to_at is not None or newest is None:
        return
    ended_at, tick = newest.finished_at, newest.scheduled_for
    if ended_at is None or tick is None or now - max(ended_at, tick, epoch.from_at) <= GRACE:
        return
    paused = Pause.objects.active().filter(job=epoch.job_id)
    if _goes_on(epoch, max(ended_at, tick, epoch.from_at)) and not paused.exists():
        account.note(Trouble.BROKEN, f"nothing follows the run of {tick}")


def _goes_on(epoch: ScheduleEpoch, since: datetime) -> bool:
    try:
        due = epoch.recurrence().next_after(since)
    except RecurrenceError:
        return False  # which is said elsewhere
    return due is not None and (epoch.ends_at is None or due <= epoch.ends_at)
