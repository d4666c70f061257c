"""Says on queued runs why they do not start; their state stays as it is, and a start clears it."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from scheduling.ending import UNKNOWN_TASK, UNSTARTABLE
from scheduling.fence import Fence
from scheduling.models import Run
from scheduling.states import RunState
from scheduling.transitions.rows import locked, locked_by_fence

NOT_PUBLISHED = "NotPublished"
NOT_SERVED = "NotServed"
BEFORE_THE_START = (*UNSTARTABLE, NOT_PUBLISHED, NOT_SERVED)


def note_unknown_task(fences: Collection[Fence], *, error: str) -> set[Fence]:
    """Say why a worker could not start these attempts; return those that are still queued."""
    with transaction.atomic():
        won = locked_by_fence(fences, RunState.QUEUED)
        _write(won, error=error, error_code=UNKNOWN_TASK)
    return {run.fence for run in won}


def note_unstarted(run_ids: Collection[UUID], *, error: str, error_code: str) -> None:
    """Say why nobody has started these runs; those that say it already are left alone."""
    with transaction.atomic():
        queued = locked(run_ids, {RunState.QUEUED})
        _write([run for run in queued if run.error != error], error=error, error_code=error_code)


def note_refused(run_ids: Collection[UUID], *, error: str) -> None:
    """Say that the broker did not take their message, and let the next try wait longer."""
    with transaction.atomic():
        queued = locked(run_ids, {RunState.QUEUED})
        _write(queued, error=error, error_code=NOT_PUBLISHED, publish_count=F("publish_count") + 1)


def _write(runs: list[Run], **values: Any) -> None:
    if runs:
        Run.objects.filter(id__in=[run.id for run in runs]).update(**values)
