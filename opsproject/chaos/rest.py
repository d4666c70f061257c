"""Lets the cluster come to rest: no schedule fires any more, and all that was begun ends."""

from collections.abc import Callable

from django.db import connection
from django_celery_beat.models import PeriodicTask

from opsproject.chaos.apart import SCOPE
from opsproject.chaos.cluster import waited_for
from scheduling.clock import OUTAGE
from scheduling.models import Run, ScheduleEpoch

REST_SECONDS = 120.0


def come_to_rest(*, show: Callable[[str], None], meanwhile: Callable[[], None]) -> bool:
    """Switch every schedule off and wait; return whether everything settled in time.

    Switched off in the rows that django-celery-beat's own admin edits, so the beats have to follow.
    """

    def is_true_of(ask: Callable[[], bool]) -> bool:
        meanwhile()
        return _answered(ask)

    show("no more kills: waiting until everything that was begun has ended")
    waited_for(lambda: is_true_of(_switch_off), seconds=REST_SECONDS)
    return waited_for(lambda: is_true_of(_is_settled), seconds=REST_SECONDS)


def _switch_off() -> bool:
    for row in PeriodicTask.objects.filter(job__scope=SCOPE, enabled=True):
        row.enabled = False
        row.save()
    return True


def _is_settled() -> bool:
    going_on = Run.objects.open().exists() or ScheduleEpoch.objects.filter(to_at=None).exists()
    return not going_on


def _answered(ask: Callable[[], bool]) -> bool:
    """Ask the database, which may still be recovering."""
    try:
        return ask()
    except OUTAGE:
        connection.close()
        return False
