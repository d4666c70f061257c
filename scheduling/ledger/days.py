"""The count proof: what was pruned is held against the schedule day by day."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime

from scheduling.ledger.account import MOST_PROBLEMS, Account, Trouble
from scheduling.ledger.chains import days_of_chains
from scheduling.ledger.stretches import Stretch
from scheduling.models import Job, LedgerTotal, Run, ScheduleEpoch, SkippedTicks
from scheduling.tally import is_planned, ticks_by_day, verdict_name


def prove_days(
    account: Account,
    job: Job,
    stretches: Iterable[Stretch],
    *,
    since: date,
    chains: Iterable[ScheduleEpoch],
) -> None:
    """Count the totals from a day on; `stretches` are what was pruned of that time.

    On the days of a chain more may be held than its schedule has: its runs are its ticks.
    """
    held = _totals(account, job, since)
    planned = _planned(account, stretches)
    for day in days_of_chains(held, chains):
        account.planned += max(0, held[day] - planned[day])
        planned[day] = max(planned[day], held[day])
    for day in sorted({*held, *planned}):
        if held[day] != planned[day]:
            account.note(
                Trouble.MISCOUNTED,
                f"{day}: the schedule has {planned[day]} ticks, the totals of that day {held[day]}",
            )


def note_unpruned(account: Account, job: Job, *, low: datetime) -> None:
    """What lies before the edge is in the totals: a row that is still there counts twice."""
    if job.pruned_until is None or job.pruned_until <= low:
        return
    edge = job.pruned_until
    runs = Run.objects.filter(job=job, scheduled_for__gt=low, scheduled_for__lte=edge)
    for tick, state in runs.order_by("scheduled_for").values_list("scheduled_for", "state")[
        :MOST_PROBLEMS
    ]:
        account.note(
            Trouble.DOUBLED, f"the run of {tick} ({state}) is in the totals of its day already"
        )
    spans = SkippedTicks.objects.filter(job=job, until__gt=low, until__lte=edge)
    for span in spans.order_by("until")[:MOST_PROBLEMS]:
        account.note(
            Trouble.DOUBLED,
            f"skipped ticks {span.pk} ({verdict_name('skipped', span.reason)}) until "
            f"{span.until} are in the totals already",
        )


def _totals(account: Account, job: Job, since: date) -> Counter[date]:
    """Add what the totals hold to the account; return how many ticks of each day they hold."""
    totals = LedgerTotal.objects.filter(job=job, day__gte=since)
    held: Counter[date] = Counter()
    for day, verdict, count in totals.values_list("day", "verdict", "count").iterator():
        if is_planned(verdict):
            account.verdicts[verdict] += count
            held[day] += count
        else:
            account.unplanned[verdict] += count
    return held


def _planned(account: Account, stretches: Iterable[Stretch]) -> Counter[date]:
    planned: Counter[date] = Counter()
    for stretch in stretches:
        if stretch.recurrence is not None:
            for day, count in ticks_by_day(stretch.recurrence, stretch.low, stretch.high):
                planned[day] += count
    account.planned += planned.total()
    return planned
