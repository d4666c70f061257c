"""Changes a job's policy: limits, misfire, retries, breaker. Runs keep theirs (SPEC A19)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.actions.validation import check_fields
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
    "max_consecutive_errors",
    "breaker_cooldown",
)


@transaction.atomic
def change_policy(job: Job, operator: Operator, changes: Mapping[str, Any]) -> Job:
    """Set policy fields; raise InvalidJob, and change nothing, if one does not fit."""
    job = Job.objects.select_for_update().get(pk=job.pk)
    before = {name: _plain(getattr(job, name)) for name in changes}
    for name, value in changes.items():
        if name not in POLICY_FIELDS:
            raise InvalidJob(name, "is not part of the policy: edit the periodic task instead")
        setattr(job, name, value)
    check_fields(job)
    job.save(update_fields=list(changes))
    _keep_row_in_step(job)
    after = {name: _plain(getattr(job, name)) for name in changes}
    record(operator, "change_policy", job, before=before, after=after)
    return job


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
