"""Gives a running run more time: its worker moves the soft limit too, within a second (SPEC B4)."""

from datetime import timedelta

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.errors import NotPossible
from scheduling.models import Run
from scheduling.transitions import extend_deadline as extend


@transaction.atomic
def extend_deadline(run: Run, operator: Operator, *, by: timedelta) -> Run:
    """Move the deadline of a running run; raise NotPossible for one that has none to be moved."""
    extended = extend(run.pk, by=by)
    if extended is None or extended.deadline_at is None:
        state = Run.objects.values_list("state", flat=True).get(pk=run.pk)
        why = "has no deadline" if state == "running" else f"is {state}"
        raise NotPossible(f"run {run.pk} {why}: only a running run's deadline can be extended")
    record(
        operator,
        "extend_deadline",
        f"run {run.pk}",
        before={"deadline_at": (extended.deadline_at - by).isoformat()},
        after={"deadline_at": extended.deadline_at.isoformat()},
    )
    return Run.objects.get(pk=run.pk)
