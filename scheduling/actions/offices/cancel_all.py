"""Cancels everything open of an office, or of one submission to it (SPEC B5)."""

from uuid import UUID

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.actions.cancel_runs import LONGEST_REASON
from scheduling.clock import database_now
from scheduling.models import Office, Run
from scheduling.transitions import cancel

PAGE = 250  # as many as a transaction of less than 250 ms cancels on a slow machine


def cancel_all(office: Office, operator: Operator, *, submission_id: UUID | None = None) -> int:
    """Cancel what is open, page by page; return how many runs that were.

    What is running becomes `stopping` until its process is gone, and what is submitted meanwhile
    stays. Each page is a line of the trail.
    """
    runs = Run.objects.of_office(office).open()
    if submission_id is not None:
        runs = runs.filter(submission_id=submission_id)
    met, last = 0, None
    while page := list(
        (runs.filter(id__gt=last) if last else runs)
        .order_by("id")
        .values_list("id", flat=True)[:PAGE]
    ):
        met += _cancel(office, operator, page)
        last = page[-1]
    return met


@transaction.atomic
def _cancel(office: Office, operator: Operator, page: list[UUID]) -> int:
    reason = f"cancelled by {operator.actor}"[:LONGEST_REASON]
    runs = cancel(page, reason=reason, now=database_now())
    if runs:
        record(operator, "cancel_all", office, after={"runs": len(runs)})
    return len(runs)
