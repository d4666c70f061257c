"""Run-now: a run outside the schedule, which it does not move (SPEC A11)."""

import hashlib
import json
from typing import Any

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.clock import database_now
from scheduling.engine.new_run import new_run
from scheduling.errors import InvalidJob, KeyReused
from scheduling.models import Job, Pause, Run
from scheduling.states import Trigger
from scheduling.storable import require_storable
from scheduling.transitions import open_runs


@transaction.atomic
def trigger_run(
    job: Job,
    operator: Operator,
    *,
    params: dict[str, Any] | None = None,
    idempotency_key: str | None = None,
    trigger: Trigger = Trigger.MANUAL,
) -> Run:
    """Open a manual run; it works on paused jobs and waits for the job's slot.

    `params` replace the job's own, key by key. The same `idempotency_key` for the same job gives
    back the run that the first call made. Raises InvalidJob when JSON cannot say the params, and
    KeyReused when the key came with others before.
    """
    job = Job.objects.select_for_update().get(id=job.id)
    if not isinstance(params or {}, dict):
        raise InvalidJob("params", "are no object: give each value a name")
    require_storable("params", params or {})
    key = _key(job, idempotency_key) if idempotency_key else None
    asked = _digest({"params": params or {}, "trigger": trigger}) if key else ""
    if key and (known := Run.objects.filter(scope=job.scope, idempotency_key=key).first()):
        if known.asked_digest != asked:
            raise KeyReused(idempotency_key or "")
        return known
    run = new_run(job, trigger=trigger, now=database_now())
    run.params = {**run.params, **(params or {})}
    run.idempotency_key, run.asked_digest = key, asked
    open_runs([run])
    record(operator, "trigger_run", job, after={"run": str(run.id)})
    return run


def open_startup_run(job: Job, operator: Operator, *, boot_id: str) -> Run | None:
    """Open the run of a foreign worker's start, once for each `boot_id` (SPEC A10).

    A paused or disabled job is left alone: None.
    """
    if not job.enabled or Pause.objects.active().filter(job=job).exists():
        return None
    key = f"startup:{boot_id}"
    return trigger_run(job, operator, idempotency_key=key, trigger=Trigger.STARTUP)


def _key(job: Job, idempotency_key: str) -> str:
    """Keys are unique in a scope, so the job id goes in; a hash can be stored whatever the key."""
    return hashlib.sha256(f"{job.job_id}\n{idempotency_key}".encode("utf-8", "replace")).hexdigest()


def _digest(asked: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
