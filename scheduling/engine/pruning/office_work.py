"""Prunes the work of offices: submissions that ended long ago go, whole (SPEC A20).

How many ended how stays in the tallies. What an open run still waits for stays as well, and so does
the run of the last event, from which the numbers of events go on.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from scheduling.conf import conf
from scheduling.models import Notice, Run, RunDependency, Submission

SUBMISSIONS = 20  # looked at in one go


def prune_office_work(scope: str, *, now: datetime, rows: int, kept: Collection[UUID]) -> int:
    """Delete about so many runs of submissions that ended before the policy's age; return how many.

    A submission larger than that goes piece by piece: what is left of it is old as well.
    """
    before = now - timedelta(days=conf.OPS_OFFICE_LEDGER_DAYS)
    gone = 0
    for submission in _old(scope, before):
        if gone >= rows:
            break
        gone += _prune(submission, rows=rows - gone, kept=kept)
    return gone


def _old(scope: str, before: datetime) -> list[Submission]:
    """Return old submissions of which nothing is open, young, or waited for from elsewhere."""
    runs = Run.objects.filter(submission=OuterRef("pk"))
    waiting = RunDependency.objects.filter(
        depends_on__submission=OuterRef("pk"), met_at=None, run__finished_at=None
    )
    old = Submission.objects.filter(
        ~Exists(runs.filter(finished_at=None)),
        ~Exists(runs.filter(finished_at__gte=before)),
        ~Exists(waiting),
        office__scope=scope,
        built_at__isnull=False,
        created_at__lt=before,
    )
    return list(old.order_by("created_at")[:SUBMISSIONS])


@transaction.atomic
def _prune(submission: Submission, *, rows: int, kept: Collection[UUID]) -> int:
    """Delete some of its runs with all that hangs on them, and itself behind the last."""
    locked = Submission.objects.select_for_update(skip_locked=True).filter(pk=submission.pk)
    if locked.first() is None:
        return 0  # another beat is at it
    runs = Run.objects.filter(submission=submission)
    open_ones = runs.filter(finished_at=None)
    ids = list(runs.exclude(id__in=kept).order_by("id").values_list("id", flat=True)[:rows])
    if open_ones.exists():
        return 0  # retried meanwhile
    if not ids:
        if not runs.exists():
            submission.delete()
        return 0
    RunDependency.objects.filter(run__in=ids).delete()
    RunDependency.objects.filter(depends_on__in=ids).delete()
    Notice.objects.filter(run__in=ids).delete()
    Run.objects.filter(id__in=ids).delete()
    if not runs.exists():
        submission.delete()
    return len(ids)
