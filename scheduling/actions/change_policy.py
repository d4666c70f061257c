"""Changes a job's policy: limits, misfire, retries, breaker. Runs keep theirs (SPEC A19)."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from scheduling.actions.audit import Operator
from scheduling.actions.change_job import apply_changes
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
    "reporting",
    "max_consecutive_errors",
    "breaker_cooldown",
)


@transaction.atomic
def change_policy(job: Job, operator: Operator, changes: Mapping[str, Any]) -> Job:
    """Set policy fields; raise InvalidJob, and change nothing, if one does not fit.

    `enabled` may be changed here only where there is no periodic task; otherwise that row decides.
    """
    job = Job.objects.select_for_update().get(pk=job.pk)
    changes = _differing(job, changes)
    if changes:
        apply_changes(job, operator, "change_policy", changes)
    return job


def _differing(job: Job, changes: Mapping[str, Any]) -> dict[str, Any]:
    for name in changes:
        if name not in POLICY_FIELDS and (name != "enabled" or job.schedule is not None):
            raise InvalidJob(name, "is not part of the policy: edit the periodic task instead")
    return {name: value for name, value in changes.items() if getattr(job, name) != value}
