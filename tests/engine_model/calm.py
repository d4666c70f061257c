"""After any storm: with a worker that works and a beat that turns, every run comes to its end."""

from hypothesis.stateful import precondition, rule

from scheduling.ending import Ending
from scheduling.models import Run
from scheduling.states import Outcome
from scheduling.transitions import finish
from tests.engine_model.beat import Beat
from tests.engine_model.worker import Worker
from tests.engine_model.world import World

MOST_ROUNDS = 60
LONGEST_STORM = 25  # rules


class Calm(World):
    """The rule that nothing is ever stuck."""

    @precondition(lambda self: self.unrest > LONGEST_STORM)
    @rule()
    def after_the_storm_every_run_ends(self) -> None:
        """What was open before; the schedules go on meanwhile."""
        self.unrest = 0
        storm = list(Run.objects.open().values_list("id", flat=True))
        beat, worker = Beat(), Worker.born(self.now)
        self.workers.append(worker)
        for _ in range(MOST_ROUNDS):
            if not (left := list(Run.objects.open().filter(id__in=storm))):
                break
            self._a_calm_moment(beat, worker)
        assert not left
        worker.take("is stopped", self.now)

    def _a_calm_moment(self, beat: Beat, worker: Worker) -> None:
        self.watch(beat)
        beat.turn(self.now, self.monotonic)
        while self.start_what_is_queued(worker):
            self._all_work_ends()
            beat.turn(self.now, self.monotonic)
        self._all_work_ends()
        self.wait_for_the_next_attempt()

    def _all_work_ends(self) -> None:
        for worker in self.workers:
            if worker.awake:
                ends = [Ending(fence=fence, outcome=Outcome.DONE) for fence in worker.hands]
                finish(ends, now=self.now)
                self.confirmed.update(worker.hands)
                worker.hands = []
