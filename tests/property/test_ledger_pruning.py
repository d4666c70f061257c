"""Whatever is planned, edited, paused, ended, pruned and killed: the account closes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from django.db import connection, transaction
from django.db.models import Min
from django.test import override_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from scheduling.engine.adoption.edits import settle
from scheduling.engine.epochs import close_epoch, open_epoch
from scheduling.engine.new_run import new_run
from scheduling.engine.pauses import end_active_pause
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.pruning.old_history import next_page
from scheduling.engine.pruning.prune import prune
from scheduling.engine.schedules import Schedule
from scheduling.ledger import Account, account_of
from scheduling.models import Job, Pause, Run, ScheduleEpoch, SkippedTicks
from scheduling.recurrence import Crontab, Interval
from scheduling.states import Trigger
from scheduling.transitions import open_runs

BIRTH = datetime(2026, 3, 20, 17, 30, tzinfo=UTC)  # before the clocks change in Europe
STEPS = st.one_of(
    st.timedeltas(timedelta(minutes=1), timedelta(hours=30)),
    st.timedeltas(timedelta(days=1), timedelta(days=45)),
    st.just(timedelta(days=1)),
)
SCHEDULES = st.sampled_from(  # hours between two ticks, or minute and hour
    [1, 2.5, 6, 7, 24, 50, ("0", "*"), ("30", "2"), ("0", "0"), ("*/20", "3"), None]
)
TRIGGERS = st.sampled_from([Trigger.MANUAL, Trigger.STARTUP])
SHARES = st.floats(0, 1)  # of the life so far
ENDS = [
    ("done", ""), ("failed", "ValueError"), ("timeout", ""), ("cancelled", "by hand"),
    ("skipped", "expired"),
]  # fmt: skip


class Killed(BaseException):
    """As abrupt as SIGKILL: nothing in the code catches it."""


@contextmanager
def killed_at_write(number: int) -> Iterator[None]:
    """Die before that writing statement; what was not committed is rolled back."""
    left = number

    def count(execute: Callable[..., Any], sql: str, *call: Any) -> Any:
        nonlocal left
        if sql.startswith(("INSERT", "UPDATE", "DELETE")):
            left -= 1
            if left == 0:
                raise Killed
        return execute(sql, *call)

    with suppress(Killed), connection.execute_wrapper(count):
        yield


class Life(RuleBasedStateMachine):
    """Two jobs through weeks of everything that writes the ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.now = BIRTH
        self.jobs = [self.born(0, overlap="skip"), self.born(1, overlap="queue", misfire="all")]

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    def born(self, number: int, **policy: Any) -> int:
        job = Job.objects.create(
            scope="real", job_id=f"job-{number}", task="t", queue="q",
            catch_up_window=timedelta(days=3), **policy,
        )  # fmt: skip
        open_epoch(job, Schedule(recurrence=Interval(self.now, timedelta(hours=7))), at=self.now)
        return job.pk

    def job(self, number: int) -> Job:
        return Job.objects.select_for_update().get(pk=self.jobs[number])

    @rule(step=STEPS, plan=st.booleans())
    def time_passes(self, step: timedelta, *, plan: bool) -> None:
        self.now += step
        if plan:
            plan_due_jobs("real", now=self.now)

    @initialize()
    def there_is_a_past(self) -> None:
        self.life_goes_on(4, ("done", ""), stuck=False)
        for number in (0, 1):
            self.a_run_is_made_by_hand(number, Trigger.MANUAL, ("done", ""))
        self.life_goes_on(12, ("done", ""), stuck=False)

    @rule(
        ticks=st.integers(2, 20),
        end=st.sampled_from(ENDS),
        stuck=st.sampled_from([True, True, False]),
    )
    def life_goes_on(self, ticks: int, end: tuple[str, str], *, stuck: bool) -> None:
        """Every tick is planned when it falls due; its run ends before the next, or hangs."""
        hanging = set(Run.objects.filter(finished_at=None).values_list("id", flat=True))
        for _ in range(ticks):
            due = Job.objects.aggregate(due=Min("next_due_at"))["due"]
            self.now = max(self.now, due or self.now)
            plan_due_jobs("real", now=self.now)
            runs = Run.objects.filter(finished_at=None).exclude(id__in=hanging)
            if stuck:
                hanging.update(runs.values_list("id", flat=True))
            self.end(list(runs.values_list("id", flat=True)), end)
            stuck = False

    @rule(end=st.sampled_from(ENDS), every=st.sampled_from([1, 2, 3]))
    def runs_end(self, end: tuple[str, str], every: int) -> None:
        runs = Run.objects.filter(finished_at=None).order_by("id")
        self.end(list(runs.values_list("id", flat=True))[::every], end)

    def end(self, runs: list[UUID], end: tuple[str, str]) -> None:
        state, reason = end
        Run.objects.filter(id__in=runs).update(
            state=state, reason=reason, finished_at=self.now + timedelta(minutes=1)
        )

    @rule(number=st.integers(0, 1), schedule=SCHEDULES)
    def the_schedule_is_edited(self, number: int, schedule: float | tuple[str, str] | None) -> None:
        """None: the job is disabled."""
        job = self.job(number)
        self.close(job)
        if isinstance(schedule, tuple):
            crontab = Crontab(*schedule, zone="Europe/Berlin")
            open_epoch(job, Schedule(recurrence=crontab), at=self.now)
        elif schedule is not None:
            interval = Interval(self.now, timedelta(hours=schedule))
            open_epoch(job, Schedule(recurrence=interval), at=self.now)

    def close(self, job: Job) -> None:
        settle(job, now=self.now)
        if epoch := ScheduleEpoch.objects.filter(job=job, to_at=None).first():
            close_epoch(job, epoch, at=self.now)

    @rule(number=st.integers(0, 1))
    def the_job_is_paused_or_resumed(self, number: int) -> None:
        job = self.job(number)
        settle(job, now=self.now)
        if end_active_pause(job, ended_by="me", now=self.now) is None:
            Pause.objects.create(job=job, paused_by="me", from_at=self.now)

    @rule(number=st.integers(0, 1), trigger=TRIGGERS, end=st.sampled_from(ENDS))
    def a_run_is_made_by_hand(self, number: int, trigger: Trigger, end: tuple[str, str]) -> None:
        run = new_run(self.job(number), trigger=trigger, now=self.now)
        open_runs([run])
        self.end([run.pk], end)

    @rule(share=SHARES, rows=st.integers(1, 60), batches=st.integers(1, 5), window=SHARES)
    def history_is_pruned(self, share: float, rows: int, batches: int, window: float) -> None:
        before = self.accounts()
        self.prune(share, rows, batches)
        assert self.accounts() == before
        self.any_window_closes(window)

    @rule(share=SHARES, rows=st.integers(1, 60), write=st.integers(1, 20), window=SHARES)
    def the_pruning_beat_is_killed(
        self, share: float, rows: int, write: int, window: float
    ) -> None:
        before = self.accounts()
        with killed_at_write(write):
            self.prune(share, rows, 10)
        assert self.accounts() == before
        self.any_window_closes(window)

    def prune(self, share: float, rows: int, batches: int) -> None:
        days = max(1, round((self.now - BIRTH) / timedelta(days=1) * share))
        with override_settings(OPS_LEDGER_DAYS=days):
            page = next_page("real", after=0, now=self.now)
            waiting = page.old if page else []
            for _ in range(batches):
                waiting = prune(waiting, now=self.now, rows=rows).waiting

    def accounts(self) -> list[Account]:
        return [account_of(pk, now=self.now) for pk in self.jobs]

    @invariant()
    def every_account_closes(self) -> None:
        for account in self.accounts():
            assert account.problems == []
            assert account.closes

    @rule(share=SHARES)
    def any_window_closes(self, share: float) -> None:
        for pk in self.jobs:
            account = account_of(pk, now=self.now, since=self.now - (self.now - BIRTH) * share)
            assert account.problems == []
            assert account.closes

    @invariant()
    def what_lies_before_the_edge_is_gone(self) -> None:
        for job in Job.objects.exclude(pruned_until=None):
            assert not Run.objects.filter(job=job, scheduled_for__lte=job.pruned_until).exists()
            assert not SkippedTicks.objects.filter(job=job, after__lt=job.pruned_until).exists()


@pytest.mark.timeout(420)  # when it fails, hypothesis looks for a shorter life that does
def test_the_account_closes_whatever_happens(db: None) -> None:
    del db
    run_state_machine_as_test(
        Life, settings=hypothesis.settings(max_examples=60, stateful_step_count=15, deadline=None)
    )
