"""The stage of the model: the real database, a clock that the model turns, jobs, who is there."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import TypeVar
from unittest.mock import Mock, patch
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from scheduling.engine.adoption import adopt, fingerprints, scan
from scheduling.fence import Fence
from scheduling.models import Job, Run
from scheduling.states import RunState
from scheduling.transitions import start
from tests.engine_model.beat import Beat
from tests.engine_model.worker import Worker, show_life

BIRTH = datetime(2026, 3, 29, 0, 50, tzinfo=UTC)  # ten minutes before Berlin's clocks change
LOOKS, SECONDS_BETWEEN_LOOKS = 4, 3  # after 8 s a worker is lost; after 3 a beat sees anew
ACTIONS = "scheduling.actions."
WHICH = st.integers(0, 3)  # of a few things that are there; round again where there are less

Thing = TypeVar("Thing")


class World(RuleBasedStateMachine):
    """What everybody's rules act on. Every example begins with empty tables."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BIRTH  # the database's clock, which may jump
        self.monotonic = 0.0  # time as it really passes
        self.beats = [Beat(), Beat()]
        self.workers: list[Worker] = []
        self.unrest = 0  # rules since all was calm
        self.jobs = 0  # that operators have made
        self.runs: Counter[RunState] = Counter()  # how many there were at the last look
        self.confirmed: set[Fence] = set()  # whose end, or whose being gone, a worker told
        self.reopened: set[UUID] = set()  # what an operator had retried since the last look
        self.cancelled: set[UUID] = set()  # as operators were told, and have not had retried since
        self.budgets: dict[UUID, int] = {}  # the last attempt before a run's budget was refreshed
        self._stage = ExitStack()
        self._stage.enter_context(rolled_back())
        self._stage.enter_context(every_door_reads(lambda: self.now))
        self._stage.enter_context(work_takes_no_time())

    def teardown(self) -> None:
        """Leave nothing to the next example."""
        self._stage.close()

    def start_what_is_queued(self, worker: Worker) -> bool:
        """Let every message arrive at a worker; return whether it took any."""
        queued = Run.objects.open(RunState.QUEUED).order_by("queued_at", "id")
        fences = [Fence(*pair) for pair in queued.values_list("id", "attempt")]
        granted = start(fences, worker_id=worker.row, now=self.now)
        worker.hands += [fence for fence in fences if fence in granted]
        return bool(granted)

    def there_are(self, *states: RunState) -> bool:
        """Whether any run was in one of the states at the last look."""
        return any(self.runs[state] for state in states)

    def awake(self) -> list[Worker]:
        """Return the workers that run."""
        return [worker for worker in self.workers if worker.awake]

    def job(self, which: int) -> Job | None:
        """Return one of the jobs, None if there are none."""
        return pick(Job.objects.order_by("id"), which)

    def pass_time(self, seconds: float) -> None:
        """Let time pass; who lives and is not frozen shows it."""
        self.now += timedelta(seconds=seconds)
        self.monotonic += seconds
        show_life(self.workers, self.now)

    def wait_for_the_next_attempt(self) -> None:
        """Let the time pass that the next retry waits for."""
        pending = Run.objects.open(RunState.PENDING).order_by("next_attempt_at").first()
        if pending and pending.next_attempt_at:
            self.pass_time(max(0.0, (pending.next_attempt_at - self.now).total_seconds()))

    def watch(self, beat: Beat) -> None:
        """Let a beat look at the workers for as long as it takes to miss one."""
        for _ in range(LOOKS):
            self.pass_time(SECONDS_BETWEEN_LOOKS)
            beat.do("take from the lost", self.now, self.monotonic)


def pick(things: Iterable[Thing], which: int) -> Thing | None:
    """Return one of the things, None if there are none."""
    found = list(things)
    return found[which % len(found)] if found else None


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo at the end whatever is written within."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def every_door_reads(clock: Callable[[], datetime]) -> Iterator[None]:
    """Set the clock of operators' actions and of django-celery-beat; all others are told `now`."""
    with ExitStack() as patches:
        patches.enter_context(patch.object(timezone, "now", clock))
        for module in _doors():
            patches.enter_context(patch.object(module, "database_now", clock))
        yield


@contextmanager
def work_takes_no_time() -> Iterator[None]:
    """Stop the stop-watches of the engine, or an example would not be the same twice."""
    with ExitStack() as patches:
        for module in (adopt, fingerprints, scan):
            patches.enter_context(patch.object(module, "time", Mock(perf_counter=lambda: 0.0)))
        yield


def _doors() -> list[ModuleType]:
    loaded = [sys.modules[name] for name in list(sys.modules) if name.startswith(ACTIONS)]
    return [module for module in loaded if hasattr(module, "database_now")]
