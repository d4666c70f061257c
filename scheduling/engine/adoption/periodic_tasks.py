"""Reads PeriodicTask rows so that one that cannot be read hides no other."""

import logging
from collections.abc import Sequence

from django.db.models import QuerySet
from django_celery_beat.models import PeriodicTask

from scheduling.engine.schedules import KINDS
from scheduling.errors import SchedulingError
from scheduling.logs import configured_redactor
from scheduling.outage import is_outage

logger = logging.getLogger(__name__)

NOT_JOBS = ("celery.backend_cleanup",)  # stock beat's own; there is no result backend here


def read_rows(pks: Sequence[int]) -> list[PeriodicTask]:
    """Return those of the rows that still exist and are jobs, with their schedules.

    Where one of them cannot be read, each comes with nothing but its name: every other value is
    read when it is asked for, and raises then.
    """
    rows = PeriodicTask.objects.filter(pk__in=pks).exclude(task__in=NOT_JOBS).order_by("pk")
    try:
        return list(rows.select_related(*KINDS))
    except Exception as error:
        if is_outage(error):
            raise
        return [row for pk in pks for row in _read_alone(rows.filter(pk=pk))]


def _read_alone(row: QuerySet[PeriodicTask]) -> list[PeriodicTask]:
    for query in (row.select_related(*KINDS), row.only("name", "task", "enabled")):
        try:
            return list(query)
        except Exception as error:
            if is_outage(error):
                raise
            logger.warning("schedule_not_readable", extra={"error": str(error)})
    return []


def reason_of(error: Exception) -> str:
    """Say why a row could not be followed, for its job's `schedule_error`."""
    text = str(error) if isinstance(error, SchedulingError) else f"cannot be read: {error}"
    return configured_redactor().text(f"periodic task: {text}")
