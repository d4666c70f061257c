"""Time passes, by seconds or days, watched or not; the database's clock may jump."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.engine_model.world import WHICH, World, pick


class PassingTime(World):
    """Rules of the clock."""

    @rule(seconds=st.sampled_from([1, 10, 35, 130, 600, 86_400, 200_000]))
    def time_passes(self, seconds: int) -> None:
        """Nobody plans, looks or claims meanwhile."""
        self.pass_time(seconds)

    @rule(which=WHICH, seconds=st.sampled_from([0, 35, 130]))
    def work_goes_on(self, which: int, seconds: int) -> None:
        """What is due is planned, claimed and started; nothing of it is ended yet."""
        self.pass_time(seconds)
        self.beats[0].turn(self.now, self.monotonic)
        if worker := pick(self.awake(), which):
            self.start_what_is_queued(worker)

    work_goes_on_and_on = work_goes_on  # drawn more often than what goes wrong
    as_it_should = work_goes_on

    @rule(which=WHICH)
    def a_beat_watches_the_workers(self, which: int) -> None:
        """Long enough: one that shows no life is given up."""
        self.watch(self.beats[which % len(self.beats)])

    @rule(minutes=st.sampled_from([-300, -10, -0.5, 0.5, 10, 300]))
    def the_clock_of_the_database_jumps(self, minutes: float) -> None:
        """No time has passed."""
        self.now += timedelta(minutes=minutes)
