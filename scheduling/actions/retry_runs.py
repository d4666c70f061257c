"""An operator's retry: the same run goes on with its next attempt (SPEC A19)."""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.clock import database_now
from scheduling.models import Run
from scheduling.states import RunState
from scheduling.transitions import make_ready, reopen

AT_ONCE = 100  # runs that are locked together, besides what hangs on each


def retry_runs(run_ids: Collection[UUID], operator: Operator) -> list[Run]:
    """Re-open runs that have run and ended, each with a fresh budget of retries; return them.

    A skipped tick did not run and stays skipped: use run-now for that. What was cancelled because
    another run ended comes back with that other.
    """
    ids = sorted(run_ids)
    pages = (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))
    return [run for page in pages for run in _retry(page, operator)]


@transaction.atomic
def _retry(run_ids: Collection[UUID], operator: Operator) -> list[Run]:
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
