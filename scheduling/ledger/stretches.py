"""The stretches of time in which a job had one recurrence, cut to the window that is asked for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from scheduling.ledger.account import Account, Trouble
from scheduling.models import Job, ScheduleEpoch
from scheduling.recurrence import Recurrence, RecurrenceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The judged part (begin, end] of one epoch; (low, high] of it lies in the window."""

    epoch_id: int
    recurrence: Recurrence | None  # None: cannot be read
    begin: datetime
    end: datetime
    low: datetime
    high: datetime

    def count(self, after: datetime, until: datetime) -> int:
        """Return how many ticks of the window lie in (after, until]; none if it is unreadable."""
        after, until = max(after, self.low), min(until, self.high)
        if self.recurrence is None or after >= until:
            return 0
        return self.recurrence.count(after, until)


def read_stretches(job: Job, account: Account, *, low: datetime, now: datetime) -> list[Stretch]:
    """Return the judged stretches of (low, now] by time, and count what waits to be judged."""
    found: list[Stretch] = []
    for epoch in ScheduleEpoch.objects.filter(job=job).order_by("from_at", "id").iterator():
        recurrence = _recurrence(epoch, account)
        judged = _judged_until(epoch, job)
        if found and epoch.from_at < min(found[-1].end, judged):
            account.note(Trouble.INVENTED, f"epochs {found[-1].epoch_id} and {epoch.pk} overlap")
        stretch = Stretch(
            epoch_id=epoch.pk,
            recurrence=recurrence,
            begin=epoch.from_at,
            end=judged,
            low=max(low, epoch.from_at),
            high=min(now, judged),
        )
        found += within([stretch], stretch.low, stretch.high)
        _count_waiting(account, replace(stretch, low=max(low, judged), high=_ends(epoch, now)))
    return found


def within(stretches: Iterable[Stretch], low: datetime, high: datetime) -> Iterator[Stretch]:
    """Yield the stretches, cut to (low, high]."""
    for stretch in stretches:
        cut = replace(stretch, low=max(low, stretch.low), high=min(high, stretch.high))
        if cut.low < cut.high:
            yield cut


def _recurrence(epoch: ScheduleEpoch, account: Account) -> Recurrence | None:
    try:
        return epoch.recurrence()
    except RecurrenceError as error:
        account.note(Trouble.UNREADABLE, f"epoch {epoch.pk} cannot be read: {error}")
        return None


def _judged_until(epoch: ScheduleEpoch, job: Job) -> datetime:
    """A closed epoch is judged to its end, an open one as far as the beats have come."""
    judged = epoch.to_at or max(epoch.from_at, job.planned_until or epoch.from_at)
    return min(judged, epoch.ends_at) if epoch.ends_at else judged


def _ends(epoch: ScheduleEpoch, now: datetime) -> datetime:
    return min(filter(None, (epoch.to_at, epoch.ends_at, now)))


def _count_waiting(account: Account, stretch: Stretch) -> None:
    """What is due, and no beat has looked at yet, is planned and open."""
    waiting = stretch.count(stretch.low, stretch.high)
    account.planned += waiting
    account.open += waiting
