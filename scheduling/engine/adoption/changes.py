"""Hears of periodic tasks that were changed by `save()` or in the admin, at once."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django_celery_beat.models import PeriodicTask, PeriodicTasks

from scheduling.outage import is_outage

logger = logging.getLogger(__name__)

# Hosts whose clocks differ, and commits that become visible late; what is later is the scan's.
OVERLAP = timedelta(seconds=10)
MOST_ROWS = 500


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Rows that were saved; `complete` if nothing else need have changed."""

    saved: list[int]
    complete: bool


class Changes:
    """Remembers when django-celery-beat last said that something changed, and what that was."""

    def __init__(self) -> None:
        self._last_change: Any = None
        self._heard_at: datetime | None = None
        self._known: dict[int, datetime] = {}

    def hear(self, *, now: datetime) -> Heard | None:
        """Return what was saved since the last time, None if nobody says that anything changed.

        A deletion, the admin's actions and a saved schedule row are announced, but leave no mark
        on any task: what is heard is not complete then.
        """
        last_change = PeriodicTasks.last_change()  # type: ignore[no-untyped-call] # it has no types
        if self._heard_at is not None and last_change == self._last_change:
            return None
        saved = self._saved_since((self._heard_at or now) - OVERLAP)
        fresh = [pk for pk, at in saved.items() if self._known.get(pk) != at]
        first = self._heard_at is None
        self._last_change, self._heard_at, self._known = last_change, now, saved
        if first:
            return Heard(saved=[], complete=False)
        return Heard(saved=fresh, complete=bool(fresh) and len(saved) < MOST_ROWS)

    def _saved_since(self, since: datetime) -> dict[int, datetime]:
        """Return when the newest rows were saved; none if one of them cannot be read."""
        rows = PeriodicTask.objects.filter(date_changed__gte=since).order_by("-date_changed")
        try:
            return dict(rows.values_list("pk", "date_changed")[:MOST_ROWS])
        except Exception as error:
            if is_outage(error):
                raise
            logger.exception("saved_schedules_not_readable")
            return {}
