"""What workers do: they come, freeze, die; start what they get, and report what became of it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from scheduling.ending import Ending
from scheduling.fence import Fence
from scheduling.models import Attempt, JobStatus, Run, RunEvent, WorkerProcess
from scheduling.retry import RetryWish
from scheduling.states import Outcome, RunState
from scheduling.transitions import (
    Terms,
    end_stopping,
    finish,
    lose,
    note_stop_delivered,
    note_unknown_task,
    release,
    start,
)
from tests.engine_model.sudden_death import killed_at_statement
from tests.engine_model.worker import Worker
from tests.engine_model.world import WHICH, World, pick

MOST_WORKERS = 3
TURNS = ("comes", "freezes", "thaws", "is killed", "is stopped", "is stopped and gives back")
OF_THE_TASK = timedelta(seconds=90)  # the hard limit that it declares
FAILURES = st.fixed_dictionaries(
    {"outcome": st.sampled_from([Outcome.FAILED, Outcome.TIMEOUT, Outcome.LOST])},
    optional={
        "error_code": st.sampled_from(["ValueError", "NotRetryable"]),
        "wish": st.sampled_from([0, 30]).map(lambda s: RetryWish(countdown=timedelta(seconds=s))),
        "retryable": st.just(False),
    },
)


def a_message_may_arrive(world: World) -> bool:
    """Somebody waits for one that was sent."""
    return bool(world.awake()) and world.there_are(RunState.QUEUED)


def an_attempt_is_in_hand(world: World) -> bool:
    """Of a worker that runs."""
    return any(worker.hands for worker in world.awake())


class Workers(World):
    """Rules of worker processes."""

    @initialize()
    def the_first_worker_comes(self) -> None:
        """Without one there is little to see."""
        self.workers.append(Worker.born(self.now))

    @rule(which=WHICH, turn=st.sampled_from(TURNS), can_stop=st.booleans())
    def a_worker_takes_a_turn(self, which: int, turn: str, *, can_stop: bool) -> None:
        """One comes, or something happens to one; another one works on, or little would be seen."""
        here = [worker for worker in self.workers if not worker.gone]
        worker = pick(here, which)
        if turn == "comes" and len(here) < MOST_WORKERS:
            self.workers.append(Worker.born(self.now, can_stop=can_stop))
        elif worker and any(other is not worker for other in self.awake()):
            worker.take(turn, self.now)

    @precondition(an_attempt_is_in_hand)
    @rule(which=WHICH)
    def a_worker_sleeps_while_its_work_is_given_away(self, which: int) -> None:
        """It wakes with attempts in hand that somebody else is at by then."""
        sleeper = pick([worker for worker in self.awake() if worker.hands], which)
        if sleeper is None:
            return
        sleeper.take("freezes", self.now)
        if not self.awake():
            self.workers.append(Worker.born(self.now))
        self.watch(self.beats[0])
        self.wait_for_the_next_attempt()
        self.beats[0].turn(self.now, self.monotonic)
        self.start_what_is_queued(self.awake()[0])
        sleeper.take("thaws", self.now)

    # -- messages --------------------------------------------------------------------------------

    @precondition(a_message_may_arrive)
    @rule(which=WHICH)
    def every_message_arrives(self, which: int) -> None:
        """The latest of each queued run, at one of the workers."""
        if worker := pick(self.awake(), which):
            for run in Run.objects.open(RunState.QUEUED).order_by("queued_at", "id"):
                self._ask(worker, run.fence)

    @precondition(lambda self: self.runs and self.awake())
    @rule(which=WHICH, message=st.integers(0, 9))
    def any_message_arrives(self, which: int, message: int) -> None:
        """A duplicate, or one that lay in a corner for days."""
        known = [Fence(*pair) for pair in Run.objects.order_by("-id").values_list("id", "attempt")]
        sent = [Fence(fence.run_id, n) for fence in known for n in range(fence.attempt, 0, -1)]
        fence, worker = pick(sent, message), pick(self.awake(), which)
        if fence and worker:
            self._ask(worker, fence)

    @precondition(a_message_may_arrive)
    @rule(which=WHICH, message=WHICH, statement=st.integers(1, 12))
    def a_message_arrives_and_the_database_fails(
        self, which: int, message: int, statement: int
    ) -> None:
        """Nobody knows whether the start was committed: the same worker asks again."""
        queued = Run.objects.open(RunState.QUEUED).order_by("id")
        run, worker = pick(queued, message), pick(self.awake(), which)
        if run and worker:
            fence = run.fence
            expected = self._may_start(worker, fence)
            with killed_at_statement(statement):
                start([fence], worker_id=worker.row, now=self.now)
            granted = start([fence], worker_id=worker.row, now=self.now, in_doubt=True)
            assert granted == ({fence} if expected else set())
            worker.hands += granted

    def _ask(self, worker: Worker, fence: Fence) -> None:
        expected = self._may_start(worker, fence)
        terms = {fence: Terms(limit=OF_THE_TASK)}
        granted = start([fence], worker_id=worker.row, now=self.now, terms=terms)
        assert granted == ({fence} if expected else set())
        worker.hands += granted

    def _may_start(self, worker: Worker, fence: Fence) -> bool:
        """Say by what is written down whether this start is to be granted."""
        run = Run.objects.get(pk=fence.run_id)
        waiting = run.state == RunState.QUEUED and run.attempt == fence.attempt
        expired = run.attempt == 1 and run.expires_at is not None and run.expires_at < self.now
        bounded = worker.can_stop or run.timeout is None
        known = WorkerProcess.objects.live().filter(id=worker.row).exists()
        return waiting and not expired and bounded and known

    @precondition(lambda self: self.there_are(RunState.QUEUED))
    @rule(message=WHICH)
    def no_worker_knows_the_task(self, message: int) -> None:
        """The message is dropped, and the run says why."""
        queued = Run.objects.open(RunState.QUEUED).order_by("queued_at", "id")
        if run := pick(queued, message):
            fence = run.fence
            assert note_unknown_task([fence], error="no worker knows it") == {fence}

    # -- reports ---------------------------------------------------------------------------------

    @precondition(an_attempt_is_in_hand)
    @rule(which=WHICH, attempt=WHICH)
    def an_attempt_succeeds(self, which: int, attempt: int) -> None:
        """Perhaps long after it was given away."""
        self._end(which, attempt, outcome=Outcome.DONE)

    another_succeeds = an_attempt_succeeds

    @precondition(an_attempt_is_in_hand)
    @rule(which=WHICH, attempt=WHICH, failure=FAILURES)
    def an_attempt_fails(self, which: int, attempt: int, failure: dict[str, Any]) -> None:
        """It raised, met its soft limit, killed its process, or asked to be tried again."""
        self._end(which, attempt, **failure)

    another_fails = an_attempt_fails

    def _end(self, which: int, attempt: int, **report: Any) -> None:
        self._tell(
            which, attempt, lambda fence: finish([Ending(fence=fence, **report)], now=self.now)
        )

    @precondition(an_attempt_is_in_hand)
    @rule(which=WHICH, attempt=WHICH, released=st.booleans())
    def nothing_is_left_of_an_attempt(self, which: int, attempt: int, *, released: bool) -> None:
        """It was stopped as it was told, or because no process was free, or its process died."""

        def tell(fence: Fence) -> set[Fence]:
            stopped = end_stopping([fence], now=self.now, seen_gone=True)
            give_back = release if released else lose
            return stopped | give_back([fence], now=self.now)

        self._tell(which, attempt, tell)

    @precondition(lambda self: self.there_are(RunState.STOPPING))
    @rule(which=WHICH)
    def a_stop_is_delivered(self, which: int) -> None:
        """The process has its signal; it is not gone yet, and the slot is not free."""
        if worker := pick(self.awake(), which):
            told = Run.objects.open(RunState.STOPPING).filter(worker_id=worker.row)
            fences = [Fence(*pair) for pair in told.values_list("id", "attempt")]
            note_stop_delivered(fences, now=self.now)

    def _tell(self, which: int, attempt: int, tell: Callable[[Fence], set[Fence]]) -> None:
        """A report counts unless the ledger has ended the attempt; if so it changes nothing."""
        worker = pick([worker for worker in self.awake() if worker.hands], which)
        fence = pick(worker.hands, attempt) if worker else None
        if worker is None or fence is None:
            return
        counts = Attempt.objects.filter(
            run=fence.run_id, number=fence.attempt, finished_at=None
        ).exists()
        before = everything()
        assert tell(fence) == ({fence} if counts else set())
        assert counts or everything() == before
        self.confirmed.add(fence)
        worker.hands.remove(fence)


def everything() -> list[list[dict[str, object]]]:
    """Return all that the end of an attempt could change."""
    told = (Run, Attempt, JobStatus, RunEvent)
    return [[*model.objects.order_by("pk").values()] for model in told]
