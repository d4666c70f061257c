"""The engine as a specification: whatever happens, in whatever order, these promises hold.

Hypothesis plays the rules of `tests/engine_model` on the real database code: operators create,
edit, pause, retry and cancel, beats plan and recover and are killed between any two statements,
workers freeze, die and report late, messages are lost and doubled, clocks jump. After every rule
each promise below is held against what the database says.

`MODEL_EXAMPLES=20000 uv run pytest -n 0 tests/property/test_engine_model.py` searches longer, and
at random; the default run plays the same examples every time, so that it fails only for a reason.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar

import hypothesis
import pytest
from django.db.models import F, Q
from hypothesis import HealthCheck
from hypothesis.stateful import invariant, run_state_machine_as_test

from scheduling.ledger import account_of
from scheduling.models import Attempt, Job, Run, RunEvent, ScheduleEpoch, WorkerProcess
from scheduling.retry import LOST_WORTH_ONE_MORE
from scheduling.states import Outcome, RunState
from tests.engine_model import changes
from tests.engine_model.beats import Beats
from tests.engine_model.calm import Calm
from tests.engine_model.operators import Operators
from tests.engine_model.passing_time import PassingTime
from tests.engine_model.strangers import Strangers
from tests.engine_model.witness import call_the_witness, hear_of_changes, hear_of_numbers
from tests.engine_model.workers import Workers

EXAMPLES = 60
STEPS = 40
AT_WORK = (RunState.RUNNING, RunState.STOPPING)


class Platform(PassingTime, Beats, Workers, Operators, Strangers, Calm):
    """All that can happen, and what is promised all the same."""

    ways_gone: ClassVar[Counter[tuple[RunState, RunState]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[int, list[Any]] = {}
        self.last_number = 0

    @invariant()
    def the_promises_hold(self) -> None:
        """Each of those below."""
        for promise in PROMISES:
            promise(self)
        self.unrest += 1
        self.runs = Counter(map(RunState, Run.objects.values_list("state", flat=True)))

    def the_account_of_every_job_closes(self) -> None:
        """Every planned tick has exactly one verdict, or is open."""
        for job_pk in Job.objects.values_list("pk", flat=True):
            account = account_of(job_pk, now=self.now)
            assert account.problems == []
            assert account.closes

    def every_change_of_a_run_was_allowed(self) -> None:
        """Each single one, as the database itself has seen it."""
        for change in hear_of_changes():
            self.ways_gone[change.before, change.after] += 1
            changes.the_state_machine_knows_the_step(change)
            changes.a_final_run_is_left_alone(change, self.reopened)
            changes.attempts_grow_by_one_with_each_claim(change)
            changes.a_claim_keeps_the_limit(change)
            changes.a_stop_holds_its_slot_until_it_is_gone(change, self.confirmed, self.now)
        self.reopened.clear()

    def what_was_cancelled_does_not_come_back_by_itself(self) -> None:
        """It stops, if it was at work, and ends as that; history that is pruned is gone."""
        runs = Run.objects.filter(id__in=self.cancelled)
        assert not runs.exclude(state__in=[RunState.STOPPING, RunState.CANCELLED]).exists()

    def an_attempt_is_open_exactly_while_its_run_is_at_work(self) -> None:
        """So there is never a second one beside it."""
        at_work = Run.objects.filter(state__in=AT_WORK).values_list("id", "attempt", "attempt_id")
        open_ = Attempt.objects.filter(finished_at=None).values_list("run_id", "number", "id")
        assert sorted(open_) == sorted(at_work)

    def what_failed_is_charged_and_what_was_given_back_is_not(self) -> None:
        """A first try and `max_retries` more; a lost worker is worth at least one more."""
        for run in Run.objects.prefetch_related("attempts"):
            since = self.budgets.get(run.pk, 0)
            ends = Counter(a.outcome for a in run.attempts.all() if a.number > since)
            assert run.retry_count == ends[Outcome.FAILED] + ends[Outcome.TIMEOUT]
            assert run.max_retries is None or run.retry_count <= run.max_retries + 1
            assert run.lost_count == ends[Outcome.LOST]
            assert run.lost_count <= max(LOST_WORTH_ONE_MORE, run.max_retries or 0) + 1

    def events_are_only_added_and_numbered_without_gaps(self) -> None:
        """They go only with their run, when it is old."""
        for before, after in hear_of_numbers():
            self.last_number += 1
            assert (before, after) == (None, self.last_number)
        fields = ("pk", "run_id", "kind", "attempt", "at")
        present = {pk: told for pk, *told in RunEvent.objects.values_list(*fields)}
        assert all(present.get(pk, told) == told for pk, told in self.events.items())
        gone = [run_id for pk, (run_id, *_) in self.events.items() if pk not in present]
        assert not Run.objects.filter(pk__in=gone).exists()
        self.events = present

    def planning_never_goes_back(self) -> None:
        """Not even when the clock does: what has a verdict is not planned again."""
        judged = Q(runs__scheduled_for__gt=F("planned_until"))
        judged |= Q(skipped_ticks__until__gt=F("planned_until"))
        assert not Job.objects.filter(judged).exists()

    def what_is_disabled_has_no_ticks(self) -> None:
        """No epoch is open, and nothing falls due."""
        disabled = Job.objects.filter(enabled=False)
        assert not disabled.filter(next_due_at__isnull=False).exists()
        assert not ScheduleEpoch.objects.filter(job__in=disabled, to_at=None).exists()

    def a_worker_that_shows_life_is_not_given_up(self) -> None:
        """Whatever the clocks say."""
        alive = [worker.row for worker in self.workers if worker.awake and worker.steady]
        assert not WorkerProcess.objects.filter(id__in=alive, lost_at__isnull=False).exists()


PROMISES = (
    Platform.the_account_of_every_job_closes,
    Platform.every_change_of_a_run_was_allowed,
    Platform.what_was_cancelled_does_not_come_back_by_itself,
    Platform.an_attempt_is_open_exactly_while_its_run_is_at_work,
    Platform.what_failed_is_charged_and_what_was_given_back_is_not,
    Platform.events_are_only_added_and_numbered_without_gaps,
    Platform.planning_never_goes_back,
    Platform.what_is_disabled_has_no_ticks,
    Platform.a_worker_that_shows_life_is_not_given_up,
)


@pytest.mark.timeout(900)  # when it fails, hypothesis looks for a shorter story that does
def test_whatever_happens_the_promises_hold(db: None) -> None:
    del db
    call_the_witness()
    logging.disable(logging.CRITICAL)  # thousands of examples have nothing to say
    longer = os.environ.get("MODEL_EXAMPLES")
    settings = hypothesis.settings(
        max_examples=int(longer or EXAMPLES),
        stateful_step_count=STEPS,
        derandomize=longer is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(Platform, settings=settings)


# What the model has found, in its shortest form.


@pytest.fixture
def platform(db: None) -> Iterator[Platform]:
    """Yield an empty platform; in the end its promises must hold."""
    del db
    call_the_witness()
    machine = Platform()
    yield machine
    machine.the_promises_hold()
    machine.teardown()


def test_a_one_off_job_that_is_edited_late_has_a_verdict_for_each_tick_before(
    platform: Platform,
) -> None:
    platform.the_first_job_is_created(schedule="every 30 s", policy={})
    platform.a_stranger_edits_a_row(which=0, edit={"one_off": True}, quietly=False)
    platform.a_beat_turns(which=0, seconds=0, fail=set())
    platform.run_now(which=0, key=None)  # and nobody takes it: the ticks overlap
    platform.time_passes(seconds=130)
    platform.a_stranger_edits_a_row(which=0, edit={"schedule": "every minute"}, quietly=False)
    platform.a_beat_turns(which=0, seconds=0, fail=set())


@pytest.mark.parametrize("edit", [{"schedule": "every minute"}, {"enabled": False}])
def test_an_edit_after_the_clock_was_set_back_does_not_reach_behind_what_is_planned(
    platform: Platform, edit: dict[str, Any]
) -> None:
    platform.the_first_job_is_created(schedule="every 30 s", policy={"overlap": "queue"})
    platform.a_beat_turns(which=0, seconds=130, fail=set())
    platform.the_clock_of_the_database_jumps(minutes=-10)
    platform.a_stranger_edits_a_row(which=0, edit=edit, quietly=False)
    platform.a_beat_turns(which=1, seconds=0, fail=set())
    platform.a_stranger_edits_a_row(which=0, edit={"enabled": True}, quietly=False)
    platform.a_beat_turns(which=1, seconds=0, fail=set())
    platform.a_beat_turns(which=1, seconds=600, fail=set())
    platform.a_beat_turns(which=1, seconds=0, fail=set())


def test_a_deletion_after_the_clock_was_set_back_does_not_reach_behind_what_is_planned(
    platform: Platform,
) -> None:
    platform.a_stranger_makes_or_deletes_a_row(name="a", schedule="every 30 s")
    for _ in range(2):
        platform.a_beat_turns(which=0, seconds=35, fail=set())
    platform.the_clock_of_the_database_jumps(minutes=-0.5)
    platform.a_stranger_makes_or_deletes_a_row(name="a", schedule="every 30 s")
    platform.a_beat_turns(which=0, seconds=0, fail=set())


def test_a_run_that_is_cancelled_while_it_stops_at_its_deadline_does_not_come_back(
    platform: Platform,
) -> None:
    limits = {"timeout": timedelta(seconds=20), "max_retries": 2}
    platform.the_first_worker_comes()
    platform.the_first_job_is_created(schedule="every minute", policy=limits)
    platform.run_now(which=0, key=None)
    platform.a_beat_turns(which=0, seconds=0, fail=set())
    platform.every_message_arrives(which=0)
    platform.time_passes(seconds=55)
    platform.a_beat_turns(which=0, seconds=0, fail=set())
    assert Run.objects.filter(state=RunState.STOPPING).exists()
    platform.runs_are_cancelled(which=0, many=True)
    platform.nothing_is_left_of_an_attempt(which=0, attempt=0, released=False)
