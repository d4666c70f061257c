"""Cancels runs: what waits ends at once, what runs is told to stop and ends when it is gone."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.clock import database_now
from scheduling.models import Run
from scheduling.storable import require_storable
from scheduling.transitions import cancel

LONGEST_REASON = 120


@transaction.atomic
def cancel_runs(run_ids: Collection[UUID], operator: Operator, *, reason: str = "") -> list[Run]:
    """Cancel open runs; return those that were still open, as they now stand.

    One that is running becomes `stopping` until its worker confirms that its process is gone.
    """
    require_storable("reason", reason)
    before = dict(Run.objects.filter(id__in=run_ids).values_list("id", "state"))
    told = f"cancelled by {operator.actor}" + (f": {reason}" if reason else "")
    runs = cancel(run_ids, reason=told[:LONGEST_REASON], now=database_now())
    for run in runs:
        record(
            operator,
            "cancel_run",
            f"run {run.pk}",
            before={"state": before[run.pk]},
            after={"state": run.state, "reason": run.reason},
        )
    return runs
