"""Lets the cluster come to rest: no schedule fires any more, and all that was begun ends."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.db import connection
from django_celery_beat.models import PeriodicTask

from opsproject.chaos.apart import SCOPE
from opsproject.chaos.cluster import waited_for
from opsproject.chaos.history import Change
from scheduling.clock import database_now
from scheduling.models import Job, Pause, Run, ScheduleEpoch
from scheduling.models.run import BUILT
from scheduling.outage import OUTAGE
from scheduling.states import Trigger

REST_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Rest:
    """The changes that were made for it, and what did not settle in time."""

    changes: tuple[Change, ...]
    problems: tuple[str, ...] = ()


def come_to_rest(*, show: Callable[[str], None], meanwhile: Callable[[], None]) -> Rest:
    """Switch every schedule off and wait.

    Switched off in the rows that django-celery-beat's own admin edits, so the beats have to follow.
    """
    changes: list[Change] = []

    def is_true_of(ask: Callable[[], bool]) -> bool:
        meanwhile()
        return _answered(ask)

    show("no more kills: waiting until everything that was begun has ended")
    waited_for(lambda: is_true_of(partial(_switch_off, changes)), seconds=REST_SECONDS)
    settled = waited_for(lambda: is_true_of(_is_settled), seconds=REST_SECONDS)
    problem = f"the cluster was not at rest after {REST_SECONDS:g} s"
    return Rest(changes=tuple(changes), problems=() if settled else (problem,))


def _switch_off(changes: list[Change]) -> bool:
    rows = PeriodicTask.objects.filter(job__scope=SCOPE, enabled=True)
    for row in rows.select_related("job"):
        changes.append(Change(job=row.job.job_id, at=database_now(), disables=True))
        row.enabled = False
        row.save()
    return True


def _is_settled() -> bool:
    going_on = (
        Run.objects.open().filter(BUILT).exists()
        or ScheduleEpoch.objects.filter(to_at=None).exists()
    )
    return not going_on and not _startup_is_under_way()


def _startup_is_under_way() -> bool:
    """A short chaos may be over before a worker serves the queue of a job that runs at start-up."""
    jobs = Job.objects.filter(scope=SCOPE, run_on_startup=True)
    waiting = jobs.exclude(runs__trigger=Trigger.STARTUP)
    return waiting.exclude(pk__in=Pause.objects.active().values("job")).exists()


def _answered(ask: Callable[[], bool]) -> bool:
    """Ask the database, which may still be recovering."""
    try:
        return ask()
    except OUTAGE:
        connection.close()
        return False
