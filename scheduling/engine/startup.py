"""Start-up runs: a job that asks for it runs once per deployment, when a worker serves its queue.

What a deployment is the operator says by a name; `up` draws a new one at each start (SPEC A10).
"""

import logging
from datetime import datetime

from django.db import IntegrityError, transaction

from scheduling.engine.aside import set_job_aside
from scheduling.engine.new_run import new_run
from scheduling.engine.one_by_one import read_rows
from scheduling.models import Job, Pause, Run, WorkerProcess
from scheduling.states import Trigger
from scheduling.transitions import open_runs

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 2.0


class StartupRuns:
    """Opens them; two beats at once are told apart by the unique key."""

    def __init__(self, scope: str, deployment: str) -> None:
        self.scope = scope
        self.deployment = deployment
        self._looked_at: float | None = None

    def open_due(self, *, now: datetime, monotonic: float) -> int:
        """Open the start-up runs that are missing; return how many."""
        if not self.deployment or not self._is_time(monotonic):
            return 0
        jobs = Job.objects.in_scope(self.scope).filter(run_on_startup=True, enabled=True)
        wanted = {self._key(job): job for job in read_rows(jobs, set_aside=set_job_aside)}
        if not wanted:
            return 0
        opened = Run.objects.filter(scope=self.scope, idempotency_key__in=wanted)
        missing = set(wanted) - set(opened.values_list("idempotency_key", flat=True))
        paused = set(Pause.objects.active().values_list("job_id", flat=True)) if missing else set()
        served = self._served_queues() if missing else set()
        return sum(
            self._open(wanted[key], key, now)
            for key in sorted(missing)
            if wanted[key].queue in served and wanted[key].pk not in paused
        )

    def _is_time(self, monotonic: float) -> bool:
        if self._looked_at is not None and monotonic - self._looked_at < LOOK_EVERY_SECONDS:
            return False
        self._looked_at = monotonic
        return True

    def _key(self, job: Job) -> str:
        return f"startup:{self.deployment}:{job.pk}"

    def _served_queues(self) -> set[str]:
        live = WorkerProcess.objects.live().filter(scope=self.scope)
        return {queue for queues in live.values_list("queues", flat=True) for queue in queues}

    @staticmethod
    def _open(job: Job, key: str, now: datetime) -> bool:
        run = new_run(job, trigger=Trigger.STARTUP, now=now)
        run.idempotency_key = key
        try:
            with transaction.atomic():
                open_runs([run])
        except IntegrityError:
            return False  # another beat was first
        logger.info("startup_run_opened", extra={"job_id": job.job_id, "run_id": str(run.pk)})
        return True
