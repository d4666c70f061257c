"""An operator's retry: the same run goes on with its next attempt (SPEC A19)."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.clock import database_now
from scheduling.models import Run
from scheduling.states import RunState
from scheduling.transitions import make_ready, reopen


@transaction.atomic
def retry_runs(run_ids: Collection[UUID], operator: Operator) -> list[Run]:
    """Re-open runs that have run and ended, each with a fresh budget of retries; return them.

    A skipped tick did not run and stays skipped: use run-now for that. What was cancelled because
    another run ended comes back with that other.
    """
    now = database_now()
    before = dict(Run.objects.filter(id__in=run_ids).values_list("id", "state"))
    reopened = reopen(run_ids, now=now)
    make_ready([run.pk for run in reopened.runs if not run.unmet], now=now)
    for run in reopened.runs:
        record(
            operator,
            "retry_run",
            f"run {run.pk}",
            before={"state": before[run.pk]},
            after={"next_attempt": run.attempt + 1},
        )
    for run in reopened.revived:
        record(operator, "revive_run", f"run {run.pk}", before={"state": RunState.CANCELLED})
    return reopened.runs
