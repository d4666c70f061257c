"""Counts the runs that no schedule planned: they stand beside the account, not in it."""

from datetime import datetime

from django.db.models import Case, Count, F, Q, Value, When

from scheduling.ledger.account import Account
from scheduling.models import Job, Run
from scheduling.states import FINAL, RunState
from scheduling.tally import unplanned_name


def count_unplanned(account: Account, job: Job, *, low: datetime, now: datetime) -> None:
    """Count manual and start-up runs that ended in (low, now], and those that are open."""
    in_window = Q(finished_at=None) | Q(finished_at__gt=low, finished_at__lte=now)
    groups = (
        Run.objects.filter(in_window, job=job, scheduled_for=None)
        # Of other states the reason is any text; it is no part of the name.
        .annotate(why=Case(When(state=RunState.SKIPPED, then=F("reason")), default=Value("")))
        .order_by()
        .values_list("trigger", "state", "why")
        .annotate(Count("id"))
    )
    for trigger, state, why, count in groups:
        ended = state in FINAL
        name = unplanned_name(trigger, state, why) if ended else f"{trigger}:open"
        account.unplanned[name] += count
