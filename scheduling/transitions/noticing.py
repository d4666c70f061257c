"""Leaves one notice for a submission of which something failed for good (SPEC B5).

What fell with it is not told apart. Called within a transition's transaction, after the runs are
locked.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction

from scheduling.models import Notice, Run
from scheduling.redaction import clip
from scheduling.states import RunState

logger = logging.getLogger(__name__)

LONGEST_TEXT = 500


def leave_notices(runs: Sequence[Run], now: datetime) -> None:
    """Leave a notice for each submission of which none is open; runs that did not fail are not."""
    failed: dict[UUID, Run] = {}
    for run in runs:
        if run.submission_id and run.state in {RunState.FAILED, RunState.TIMEOUT}:
            failed.setdefault(run.submission_id, run)
    if not failed:
        return
    noticed = Notice.objects.filter(submission__in=failed, closed_at=None)
    for known in noticed.values_list("submission_id", flat=True):
        failed.pop(known, None)
    notices = [
        Notice(
            scope=run.scope,
            office_id=run.office_id,
            submission_id=submission,
            run_id=run.pk,
            text=_text(run),
            at=now,
        )
        for submission, run in failed.items()
    ]
    Notice.objects.bulk_create(notices, ignore_conflicts=True)  # another's may have come first
    for notice in notices:
        told = {"submission": str(notice.submission_id), "run_id": str(notice.run_id)}
        transaction.on_commit(partial(logger.warning, "submission_failed", extra=told))


def close_notices(runs: Sequence[Run], now: datetime) -> None:
    """Somebody has seen to these submissions: their next failure is told again."""
    submissions = {run.submission_id for run in runs if run.submission_id}
    if submissions:
        Notice.objects.filter(submission__in=submissions, closed_at=None).update(closed_at=now)


def _text(run: Run) -> str:
    first, _, _ = (run.error or run.reason).partition("\n")
    return clip(f"{run.name}: {run.state} in attempt {run.attempt}: {first}", LONGEST_TEXT)
