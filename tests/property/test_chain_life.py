"""Whatever happens to a chain, whoever is killed: one link at a time, and the account closes."""

from datetime import UTC, datetime, timedelta

import hypothesis
import pytest
from django.db import transaction
from django.test import override_settings
from django_celery_beat.models import PeriodicTask
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from scheduling.ending import Ending
from scheduling.engine.adoption.edits import settle
from scheduling.engine.chains.chain import follow, resume_chain
from scheduling.engine.chains.due_links import due_chains, tend_chains
from scheduling.engine.chains.links import skip_waiting_link
from scheduling.engine.chains.modes import begin_anew
from scheduling.engine.epochs import open_epochs
from scheduling.engine.new_run import new_run
from scheduling.engine.pauses import end_active_pause
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.pruning.old_history import next_page
from scheduling.engine.pruning.prune import prune
from scheduling.engine.recover import expire_waiting
from scheduling.engine.resolve import resolve_waiting
from scheduling.engine.schedules import row_fields
from scheduling.ledger import Account, account_of
from scheduling.models import Job, JobStatus, Pause, Run, WorkerProcess
from scheduling.models.job import RescheduleMode
from scheduling.recurrence import Chain, Crontab
from scheduling.states import RAN, Outcome, RunState, SkipReason, Trigger
from scheduling.transitions import cancel, finish, lose, make_ready, open_runs, reopen, start
from tests.claims import claim_ready

BIRTH = datetime(2026, 3, 27, 17, 30, tzinfo=UTC)  # a Friday, before the clocks change in Europe
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
STEPS = st.one_of(
    st.timedeltas(timedelta(seconds=1), 5 * MINUTE),
    st.timedeltas(MINUTE, timedelta(hours=30)),
    st.timedeltas(DAY, 40 * DAY),
)
CRONS = st.sampled_from([None, ("*/5", "*", "*"), ("0", "9", "1-5"), ("30", "2", "*")])
DELAYS = st.sampled_from([None, timedelta(seconds=90), timedelta(hours=7)])


class Life(RuleBasedStateMachine):
    """One job through weeks of everything that touches a chain."""

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.now = BIRTH
        self.worker = WorkerProcess.objects.create(
            scope="real", hostname="w", pid=1, pool="prefork", concurrency=1, can_stop=True,
            started_at=BIRTH,
        )  # fmt: skip
        job = Job.objects.create(
            scope="real", job_id="chain", task="t", queue="q", max_consecutive_errors=2,
            reschedule_mode=RescheduleMode.QUEUE, next_delay=MINUTE, max_retries=1,
            retry_base=10 * MINUTE,
        )  # fmt: skip
        JobStatus.objects.create(job=job)
        begin_anew(job, at=self.now)

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    def job(self) -> Job:
        return Job.objects.select_for_update().get()

    def newest(self) -> Run:
        return Run.objects.filter(scheduled_for__isnull=False).latest("scheduled_for")

    # -- what the platform does ------------------------------------------------------------------

    @rule(step=STEPS)
    def time_passes(self, step: timedelta) -> None:
        self.now += step

    @rule()
    def a_beat_turns(self) -> None:
        for _ in range(10):
            plan_due_jobs("real", now=self.now)
            chains = due_chains("real", now=self.now)
            tend_chains(chains, now=self.now)
            resolve_waiting("real", now=self.now)
            claim_ready("real", now=self.now)
            expire_waiting("real", now=self.now)
            if not chains:
                break
        assert due_chains("real", now=self.now) == []
        assert self.account().problems == []

    @initialize()
    def it_begins(self) -> None:
        self.it_falls_due()

    @rule()
    def it_falls_due(self) -> None:
        due = Job.objects.get().next_due_at
        self.now = max(self.now, due or self.now)
        self.a_beat_turns()
        self.a_worker_takes_what_is_there()

    @rule()
    def a_worker_takes_what_is_there(self) -> None:
        queued = Run.objects.open(RunState.QUEUED)
        fences = [run.fence for run in queued]
        start(fences, worker_id=self.worker.pk, now=self.now)

    @rule(
        outcome=st.sampled_from([Outcome.DONE, Outcome.DONE, Outcome.FAILED, Outcome.TIMEOUT]),
        killed=st.booleans(),
    )
    def what_runs_ends(self, outcome: Outcome, *, killed: bool) -> None:
        """`killed`: the worker dies between the commit of the end and the next link."""
        for run in Run.objects.open(RunState.RUNNING):
            finish([Ending(fence=run.fence, outcome=outcome)], now=self.now)
            if not killed:
                follow([run.job_id or 0], now=self.now)

    @rule()
    def the_worker_is_lost(self) -> None:
        lose([run.fence for run in Run.objects.open(RunState.RUNNING)],
             now=self.now)  # fmt: skip

    @rule(share=st.floats(0, 1))
    def history_is_pruned(self, share: float) -> None:
        before = self.account()
        days = max(1, round((self.now - BIRTH) / DAY * share))
        with override_settings(OPS_LEDGER_DAYS=days):
            page = next_page("real", after=0, now=self.now)
            prune(page.old if page else [], now=self.now, rows=20)
        assert self.account() == before

    # -- what operators do -----------------------------------------------------------------------

    @rule()
    def it_is_paused_or_resumed(self) -> None:
        job = self.job()
        settle(job, now=self.now)
        if end_active_pause(job, ended_by="me", now=self.now) is not None:
            resume_chain(job, now=self.now)
            return
        Pause.objects.create(job=job, paused_by="me", from_at=self.now)
        if job.is_chained:
            skip_waiting_link(job, SkipReason.PAUSED, now=self.now)

    @rule(cron=CRONS, delay=DELAYS, mode=st.sampled_from(["queue", "queue", "scheduler"]))
    def it_is_edited(
        self, cron: tuple[str, str, str] | None, delay: timedelta | None, mode: str
    ) -> None:
        if cron is None and (delay is None or mode == "scheduler"):
            return
        job = self.job()
        settle(job, now=self.now)
        job.reschedule_mode = mode
        job.next_delay = delay if mode == "queue" else None
        job.schedule = self.row(cron) if cron else None
        job.save()
        begin_anew(job, at=self.now)

    def row(self, cron: tuple[str, str, str]) -> PeriodicTask:
        fields = row_fields(Crontab(*cron, zone="Europe/Berlin"))
        PeriodicTask.objects.filter(name="chain").delete()
        return PeriodicTask.objects.create(name="chain", task="t", **fields)

    @rule()
    def it_is_disabled_or_enabled(self) -> None:
        job = self.job()
        settle(job, now=self.now)
        job.enabled = not job.enabled
        job.save()
        begin_anew(job, at=self.now)

    @rule(followed=st.booleans())
    def its_newest_run_is_cancelled(self, *, followed: bool) -> None:
        newest = self.newest()
        if newest.state not in {RunState.RUNNING, RunState.STOPPING}:
            cancel([newest.pk], reason="by hand", now=self.now)
        if followed:
            follow([newest.job_id or 0], now=self.now)

    @rule()
    def an_ended_run_is_retried(self) -> None:
        ended = Run.objects.filter(state__in=RAN).order_by("created_at").last()
        if ended is not None:
            reopen([ended.pk], now=self.now)
            make_ready([ended.pk], now=self.now)

    @rule()
    def it_is_run_by_hand(self) -> None:
        open_runs([new_run(self.job(), trigger=Trigger.MANUAL, now=self.now)])

    # -- what always holds -----------------------------------------------------------------------

    def account(self) -> Account:
        return account_of(Job.objects.get().pk, now=self.now)

    @invariant()
    def one_link_at_a_time(self) -> None:
        waiting = Run.objects.waiting_links()
        assert waiting.count() <= 1
        links = Run.objects.open().filter(epoch__kind=Chain.kind, not_before__isnull=False)
        assert links.count() <= 1

    @invariant()
    def the_account_closes(self) -> None:
        account = self.account()
        assert [text for text in account.problems if "nothing follows" not in text] == []
        assert account.planned == account.verdicts.total() + account.open

    @invariant()
    def a_waiting_link_belongs_to_a_chain_that_goes_on(self) -> None:
        job = Job.objects.get()
        link = Run.objects.waiting_links().first()
        if link is not None:
            assert job.is_chained
            assert job.enabled
            assert not Pause.objects.active().exists()
            assert link.epoch_id == open_epochs([job])[job.pk].pk
            assert job.next_due_at == link.scheduled_for == link.not_before

    @precondition(lambda _: not Job.objects.get().is_chained)
    @invariant()
    def no_chain_leaves_a_tick_behind(self) -> None:
        assert not Run.objects.filter(scheduled_for__gt=self.now).exists()


@pytest.mark.timeout(420)  # when it fails, hypothesis looks for a shorter life that does
def test_a_chain_has_one_link_at_a_time_whatever_happens(db: None) -> None:
    del db
    run_state_machine_as_test(
        Life, settings=hypothesis.settings(max_examples=60, stateful_step_count=20, deadline=None)
    )
