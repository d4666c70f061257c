"""What operators do through our doors: jobs, policies, pauses, run-now, cancel, retry."""

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.change_policy import change_policy
from scheduling.actions.create_job import NewJob, create_job
from scheduling.actions.pause_job import pause_job
from scheduling.actions.reset_breaker import reset_breaker
from scheduling.actions.resume_job import resume_job
from scheduling.actions.retry_runs import retry_runs
from scheduling.actions.trigger_run import trigger_run
from scheduling.engine.schedules import Schedule
from scheduling.errors import InvalidJob
from scheduling.models import Job, JobStatus, Run
from scheduling.states import OPEN, RAN
from tests.conftest import OPERATOR
from tests.engine_model.beat import SCOPE
from tests.engine_model.schedules import KNOWN, SCHEDULES, durations
from tests.engine_model.world import WHICH, World, pick

MOST_JOBS = 2
SOME = 6  # of the newest runs
POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "max_parallel": st.integers(1, 3),
        "overlap": st.sampled_from(["skip", "queue"]),
        "misfire": st.sampled_from(["skip", "once", "all"]),
        "misfire_grace": durations(0, 10),
        "catch_up_window": durations(10, 120, 900),
        "timeout": st.none() | durations(20, 120),
        "expires_after": st.none() | durations(5, 60),
        "max_retries": st.none() | st.integers(0, 2),
        "retry_base": durations(0, 5, 60),
        "retry_backoff": st.sampled_from(["exponential", "linear"]),
        "max_consecutive_errors": st.integers(1, 3),
        "breaker_cooldown": durations(10, 120),
        "priority": st.integers(0, 2),
    },
)


class Operators(World):
    """Rules of those who use the platform."""

    @initialize(schedule=SCHEDULES, policy=POLICIES)
    def the_first_job_is_created(self, schedule: str, policy: dict[str, Any]) -> None:
        """Without one there is little to see."""
        self._create(schedule, policy)

    @precondition(lambda self: self.jobs < MOST_JOBS)
    @rule(schedule=SCHEDULES, policy=POLICIES)
    def a_job_is_created(self, schedule: str, policy: dict[str, Any]) -> None:
        """Any schedule with any policy."""
        self._create(schedule, policy)

    def _create(self, schedule: str, policy: dict[str, Any]) -> None:
        self.jobs += 1
        planned = Schedule(recurrence=KNOWN[schedule](self.now))
        new = NewJob(scope=SCOPE, job_id=f"job-{self.jobs}", task="t", schedule=planned)
        job = create_job(new, OPERATOR)
        with suppress(InvalidJob):  # no grace, and to skip what is late
            change_policy(job, OPERATOR, policy)

    @rule(which=WHICH, policy=POLICIES)
    def a_policy_is_changed(self, which: int, policy: dict[str, Any]) -> None:
        """Runs keep theirs, slots are counted by the new one at once."""
        if job := self.job(which):
            with suppress(InvalidJob, ValidationError):  # with an `expires`, no `expires_after`
                change_policy(job, OPERATOR, policy)

    @rule(which=WHICH, until=st.none() | durations(20, 300))
    def a_job_is_paused_or_resumed(self, which: int, until: timedelta | None) -> None:
        """Paused for a while, or until it is resumed."""
        job = self.job(which)
        if job and job.pauses.active().exists():
            resume_job(job, OPERATOR)
        elif job:
            pause_job(job, OPERATOR, until=None if until is None else self.now + until)

    @precondition(lambda _: JobStatus.objects.exclude(consecutive_errors=0).exists())
    @rule(which=WHICH)
    def a_breaker_is_reset(self, which: int) -> None:
        """Open, or on the way to it."""
        if job := pick(Job.objects.exclude(status__consecutive_errors=0), which):
            reset_breaker(job, OPERATOR)

    @rule(which=WHICH, key=st.none() | st.sampled_from("ab"))
    def run_now(self, which: int, key: str | None) -> None:
        """The same key twice is the same run; the schedule is not moved."""
        job = self.job(which)
        if job is None:
            return
        run = trigger_run(job, OPERATOR, idempotency_key=key)
        if key is not None:
            assert trigger_run(job, OPERATOR, idempotency_key=key) == run
        assert Job.objects.get(pk=job.pk).next_due_at == job.next_due_at

    @precondition(lambda self: self.there_are(*OPEN))
    @rule(which=WHICH, many=st.booleans())
    def runs_are_cancelled(self, which: int, *, many: bool) -> None:
        """One that is open, or several."""
        _with_some(Run.objects.open(), which, many=many, act=self._cancel)

    def _cancel(self, ids: Collection[UUID], operator: Operator) -> list[Run]:
        told = cancel_runs(ids, operator)
        self.cancelled |= {run.pk for run in told}
        assert self.cancelled.issuperset(ids)  # told now or before: none that is open is passed by
        return told

    @precondition(lambda self: self.there_are(*RAN))
    @rule(which=WHICH, many=st.booleans())
    def runs_are_retried(self, which: int, *, many: bool) -> None:
        """One that ran and ended, or several."""
        ended = Run.objects.filter(state__in=RAN)
        for run in _with_some(ended, which, many=many, act=retry_runs):
            self.reopened.add(run.pk)
            self.cancelled.discard(run.pk)
            self.budgets[run.pk] = run.attempt


def _with_some(
    runs: Any, which: int, *, many: bool, act: Callable[[Any, Any], list[Run]]
) -> list[Run]:
    ids = list(runs.order_by("-id").values_list("id", flat=True)[:SOME])
    return act(ids if many else [pick(ids, which)], OPERATOR)
