"""What beats do: turns, single steps, and steps in the middle of which they die or are held up."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.engine_model.beat import STEPS, Beat
from tests.engine_model.sudden_death import held_up_before_transaction, killed_at_statement
from tests.engine_model.world import WHICH, World

ANY_STEP = st.sampled_from(sorted(STEPS))


class Beats(World):
    """Rules of any number of beats on one database."""

    @rule(
        which=WHICH, seconds=st.sampled_from([0, 10, 35, 130]), fail=st.sets(ANY_STEP, max_size=2)
    )
    def a_beat_turns(self, which: int, seconds: int, fail: set[str]) -> None:
        """Some time later: all steps in their order, but for those that fail."""
        self.pass_time(seconds)
        self._beat(which).turn(self.now, self.monotonic, but_for=fail)

    @rule(which=WHICH, step=ANY_STEP)
    def a_beat_does_one_step(self, which: int, step: str) -> None:
        """The one before it was killed or failed; or two beats take turns."""
        self._beat(which).do(step, self.now, self.monotonic)

    @rule(which=WHICH, step=ANY_STEP, statement=st.integers(1, 25))
    def a_beat_is_killed(self, which: int, step: str, statement: int) -> None:
        """Before any statement of a step; its successor remembers nothing."""
        with killed_at_statement(statement):
            self._beat(which).do(step, self.now, self.monotonic)
        self.beats[which % len(self.beats)] = Beat()

    @rule(step=ANY_STEP, transaction=st.integers(1, 3), meanwhile=st.none() | ANY_STEP)
    def a_beat_is_held_up(self, step: str, transaction: int, meanwhile: str | None) -> None:
        """What it read is stale: another beat did a step, or all of them."""
        slow, quick = self.beats

        def others_go_on() -> None:
            if meanwhile is None:
                quick.turn(self.now, self.monotonic)
            else:
                quick.do(meanwhile, self.now, self.monotonic)

        with held_up_before_transaction(transaction, others_go_on):
            slow.do(step, self.now, self.monotonic)

    def _beat(self, which: int) -> Beat:
        return self.beats[which % len(self.beats)]
