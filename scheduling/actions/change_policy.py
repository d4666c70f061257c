"""Changes a job's policy: limits, misfire, retries, breaker. Runs keep theirs (SPEC A19)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.actions.validation import check_fields
from scheduling.clock import database_now
from scheduling.engine.adoption.edits import settle
from scheduling.engine.chains.links import refresh_links
from scheduling.engine.chains.modes import begin_anew
from scheduling.engine.coming_back import is_aside, plan_again
from scheduling.errors import InvalidJob
from scheduling.models import Job

POLICY_FIELDS = (
    "description",
    "priority",
    "max_parallel",
    "overlap",
    "misfire",
    "misfire_grace",
    "catch_up_window",
    "timeout",
    "expires_after",
    "max_retries",
    "retry_base",
    "retry_cap",
    "retry_backoff",
    "retry_jitter",
    "non_retryable_codes",
    "run_on_startup",
    "reschedule_mode",
    "next_delay",
    "max_consecutive_errors",
    "breaker_cooldown",
)
REPLANNING = ("reschedule_mode", "next_delay", "enabled")


@transaction.atomic
def change_policy(job: Job, operator: Operator, changes: Mapping[str, Any]) -> Job:
    """Set policy fields; raise InvalidJob, and change nothing, if one does not fit.

    `enabled` may be changed here only where there is no periodic task; otherwise that row decides.
    """
    job = Job.objects.select_for_update().get(pk=job.pk)
    changes = _differing(job, changes)
    mending = {name: value for name, value in changes.items() if name not in REPLANNING}
    if is_aside(job) and mending and mending != changes:
        # First what may have set it aside, so that what fell due since is settled before the rest.
        _change(job, operator, mending)
        changes = {name: value for name, value in changes.items() if name in REPLANNING}
    if changes:
        _change(job, operator, changes)
    return job


def _differing(job: Job, changes: Mapping[str, Any]) -> dict[str, Any]:
    for name in changes:
        if name not in POLICY_FIELDS and (name != "enabled" or job.schedule is not None):
            raise InvalidJob(name, "is not part of the policy: edit the periodic task instead")
    return {name: value for name, value in changes.items() if getattr(job, name) != value}


def _change(job: Job, operator: Operator, changes: Mapping[str, Any]) -> None:
    now = database_now()
    replanned = any(name in changes for name in REPLANNING)
    if replanned:
        settle(job, now=now)
    before = {name: _plain(getattr(job, name)) for name in changes}
    for name, value in changes.items():
        setattr(job, name, value)
    check_fields(job)
    job.save(update_fields=list(changes))
    _keep_row_in_step(job)
    if replanned:
        begin_anew(job, at=now)
    else:
        refresh_links([job], now=now)
    plan_again(job)
    after = {name: _plain(getattr(job, name)) for name in changes}
    record(operator, "change_policy", job, before=before, after=after)


def _keep_row_in_step(job: Job) -> None:
    """Write what django-celery-beat's row also says, or it would pass for somebody's edit."""
    if job.schedule is None:
        return
    after = job.expires_after
    job.schedule.description = job.description
    job.schedule.expire_seconds = None if after is None else int(after.total_seconds())
    # Only these: somebody may be editing the rest in the stock admin.
    written = ["description", "expire_seconds", "date_changed"]
    job.schedule.save(update_fields=written)  # type: ignore[no-untyped-call] # it has no types


def _plain(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value
