"""Pauses a job: its ticks are skipped as `paused`; what already runs finishes (SPEC A11)."""

from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.clock import database_now
from scheduling.engine.chains.links import skip_waiting_link
from scheduling.engine.pauses import end_active_pause
from scheduling.engine.plan import plan_jobs
from scheduling.errors import InvalidJob
from scheduling.models import Job, Pause, Run
from scheduling.models.run import OUT_OF_HAND
from scheduling.states import RunState, SkipReason
from scheduling.storable import require_storable
from scheduling.transitions import skip

LATEST = datetime(9000, 1, 1, tzinfo=UTC)  # far from where time zones overflow


@transaction.atomic
def pause_job(
    job: Job, operator: Operator, *, reason: str = "", until: datetime | None = None
) -> Pause:
    """Pause a job until an instant or until resumed; a new pause takes the place of an old one.

    Raises InvalidJob when `until` is not in the future or the reason cannot be stored.
    """
    now = database_now()
    if until is not None and not now < until < LATEST:
        raise InvalidJob("until", f"{until.isoformat()} is not in the future, or beyond 9000")
    require_storable("reason", reason)
    job = Job.objects.select_for_update().get(id=job.id)
    replaced = end_active_pause(job, ended_by=operator.actor, now=now)
    while plan_jobs([job.id], now=now):
        pass  # what fell due before the pause is not the pause's, however much it is
    pause = Pause.objects.create(
        job=job, paused_by=operator.actor, reason=reason, from_at=now, until_at=until
    )
    skip_waiting_link(job, SkipReason.PAUSED, now=now)
    _skip_unstarted(job, now)
    record(operator, "pause_job", job, before=_told(replaced), after=_told(pause))
    return pause


def _told(pause: Pause | None) -> dict[str, Any] | None:
    if pause is None:
        return None
    return {"reason": pause.reason, "until": pause.until_at and pause.until_at.isoformat()}


def _skip_unstarted(job: Job, now: datetime) -> None:
    """Planned runs whose first attempt has not started will not run; who has one, goes on."""
    unstarted = Run.objects.open(RunState.READY, RunState.QUEUED).filter(
        job=job, scheduled_for__isnull=False, started_at=None
    )
    unstarted = unstarted.exclude(OUT_OF_HAND)
    skip(list(unstarted.values_list("id", flat=True)), SkipReason.PAUSED, now=now)
