"""Changes work that has not been started: its priority, and who it is for (SPEC B5)."""

from typing import Any

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.errors import NotPossible
from scheduling.models import Run
from scheduling.states import WAITING
from scheduling.storable import require_storable

CHANGEABLE = ("priority", "role", "assignee")


@transaction.atomic
def change_waiting(run: Run, operator: Operator, **changes: Any) -> Run:
    """Set priority, role or assignee of a run that waits; it keeps its timeout and its retries.

    Raises NotPossible for one that was started or has ended: there it would change nothing.
    """
    for name in ("role", "assignee"):
        require_storable(name, changes.get(name, ""))
    run = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if run.state not in WAITING:
        raise NotPossible(
            f"run {run.pk} is {run.state}: only what is pending or ready can still be changed"
        )
    differing = {
        name: value
        for name, value in changes.items()
        if name in CHANGEABLE and getattr(run, name) != value
    }
    if differing:
        before = {name: getattr(run, name) for name in differing}
        for name, value in differing.items():
            setattr(run, name, value)
        run.save(update_fields=[*differing])
        record(operator, "change_run", f"run {run.pk}", before=before, after=differing)
    return run
