"""An operator who never leaves the schedule alone: run-now, pauses, edits, switching off and on.

A thread with a connection of its own. What the database refuses while it is down, it lets be; a
run-now that got no answer is asked again with the same key, as a careful client does.
"""

import logging
import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django_celery_beat.models import PeriodicTask

from opsproject.chaos.apart import SCOPE
from opsproject.chaos.history import Change, Promise
from opsproject.chaos.workload import BY_CHAOS
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.change_policy import change_policy
from scheduling.actions.pause_job import pause_job
from scheduling.actions.reset_breaker import reset_breaker
from scheduling.actions.resume_job import resume_job
from scheduling.actions.retry_runs import retry_runs
from scheduling.actions.trigger_run import trigger_run
from scheduling.clock import database_now
from scheduling.engine.schedules import row_fields
from scheduling.models import Job, Pause, Run
from scheduling.models.run import BUILT
from scheduling.outage import OUTAGE
from scheduling.recurrence import Interval
from scheduling.states import RAN

logger = logging.getLogger(__name__)

MEAN_SECONDS = 0.6  # between two actions
LONGEST_PAUSE_SECONDS = 6.0


class Meddler(threading.Thread):
    """Acts until stopped; `done` counts what was accepted, `failures` is what must not happen."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(name="chaos-meddler", daemon=True)
        self.done: Counter[str] = Counter()
        self.refused = 0
        self.failures: list[str] = []
        self.promises: list[Promise] = []
        self.cancelled: set[UUID] = set()  # told to be, and nobody has had them tried again
        self.changes: list[Change] = []
        self._random = random.Random(seed)  # noqa: S311 no secret
        self._unanswered: list[tuple[str, str]] = []  # job id and key of a run-now
        self._stopping = threading.Event()
        # Repeated is what is done more often.
        self._actions: tuple[tuple[str, Callable[[Job], bool]], ...] = (
            *(("run-now", self._trigger),) * 3,
            ("pause", self._pause),
            ("resume", self._resume),
            ("cancel", self._cancel),
            ("retry", self._retry),
            ("reset breaker", self._reset_breaker),
            ("change policy", self._change_policy),
            ("edit schedule", self._edit_schedule),
            *(("switch off or on", self._switch),) * 2,
        )

    def run(self) -> None:
        """Act now and then until stopped."""
        while not self._stopping.wait(self._random.expovariate(1 / MEAN_SECONDS)):
            self._act()
        connection.close()

    def stop(self) -> None:
        """End after the present action."""
        self._stopping.set()
        self.join()

    def _act(self) -> None:
        kind, act = self._random.choice(self._actions)
        try:
            job = self._random.choice(Job.objects.in_scope(SCOPE).order_by("id"))
            if act(job):
                self.done[kind] += 1
        except OUTAGE as error:
            self.refused += 1
            logger.debug("operator_refused", extra={"action": kind, "error": str(error)})
            if "deadlock" in str(error):
                self.failures.append(f"deadlock in {kind}: {error}")
            connection.close()
        except Exception as error:
            # An operator's door has no business failing otherwise: it is told, and chaos goes on.
            logger.exception("operator_failed", extra={"action": kind})
            self.failures.append(f"{kind}: {type(error).__name__}: {error}")

    def _trigger(self, job: Job) -> bool:
        """Ask for a run: a new one, one that got no answer, or one that had its answer."""
        known = [*self._unanswered, *((promise.job, promise.key) for promise in self.promises[-5:])]
        job_id, key = job.job_id, f"{self._random.getrandbits(64):x}"
        if known and self._random.getrandbits(1):
            job_id, key = self._random.choice(known)
        self._unanswered.append((job_id, key))
        run = trigger_run(
            Job.objects.get(scope=SCOPE, job_id=job_id), BY_CHAOS, idempotency_key=key
        )
        self._unanswered = [asked for asked in self._unanswered if asked != (job_id, key)]
        self.promises.append(Promise(job=job_id, key=key, run=run.id))
        return True

    def _pause(self, job: Job) -> bool:
        seconds = self._random.uniform(1, LONGEST_PAUSE_SECONDS)
        until = database_now() + timedelta(seconds=seconds)
        pause_job(job, BY_CHAOS, reason="chaos", until=self._random.choice((until, None)))
        return True

    def _resume(self, job: Job) -> bool:
        """Resume one that is paused, so that most of the schedule goes on."""
        del job
        paused = list(Pause.objects.active().select_related("job").order_by("id"))
        if paused:
            resume_job(self._random.choice(paused).job, BY_CHAOS)
        return bool(paused)

    def _cancel(self, job: Job) -> bool:
        """Cancel a run that has not ended, of whatever job or office."""
        del job
        runs = list(Run.objects.open().filter(BUILT).order_by("id").values_list("id", flat=True))
        if not runs:
            return False
        told = cancel_runs([self._random.choice(runs)], BY_CHAOS, reason="chaos")
        self.cancelled |= {run.id for run in told}
        return bool(told)

    def _retry(self, job: Job) -> bool:
        """Have a run tried again that has ended, whether well or not."""
        ended = Run.objects.filter(job=job, state__in=RAN).order_by("-id")
        runs = list(ended.values_list("id", flat=True)[:10])
        if not runs:
            return False
        chosen = self._random.choice(runs)
        self.cancelled.discard(chosen)  # before: an answer that never comes may have been a yes
        return bool(retry_runs([chosen], BY_CHAOS))

    def _reset_breaker(self, job: Job) -> bool:
        return reset_breaker(job, BY_CHAOS)

    def _change_policy(self, job: Job) -> bool:
        changes = {
            "misfire": self._random.choice(("skip", "once", "all")),
            "misfire_grace": timedelta(seconds=self._random.randint(1, 10)),
            "overlap": self._random.choice(("skip", "queue")),
        }
        change_policy(job, BY_CHAOS, changes)
        return True

    def _edit_schedule(self, job: Job) -> bool:
        """Give it another interval, in the row that django-celery-beat's own admin edits."""
        row = PeriodicTask.objects.filter(job=job, interval__isnull=False).first()
        if row is None:
            return False
        every = timedelta(seconds=self._random.randint(1, 4))
        self._about_to_change(job, disables=False)
        for name, value in row_fields(Interval(database_now(), every)).items():
            setattr(row, name, value)
        row.save()
        return True

    def _switch(self, job: Job) -> bool:
        """Switch on what is off, else this job off."""
        rows = PeriodicTask.objects.filter(job__scope=SCOPE).select_related("job")
        row = rows.filter(enabled=False).order_by("pk").first() or rows.filter(job=job).first()
        if row is None:
            return False
        self._about_to_change(row.job, disables=row.enabled)
        row.enabled = not row.enabled
        row.save()
        return True

    def _about_to_change(self, job: Job, *, disables: bool) -> None:
        self.changes.append(Change(job=job.job_id, at=database_now(), disables=disables))
