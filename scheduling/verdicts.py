"""Which due ticks run and which end with a reason (SPEC A4, A11 to A13); pure, no database."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from scheduling.recurrence import Recurrence
from scheduling.states import SkipReason

MOST_RUNS_AT_ONCE = 1_000  # the oldest of one job in one planning; what is left is the next one's
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """How a job stands when its due ticks in (after, until] are judged."""

    after: datetime
    until: datetime
    now: datetime
    misfire: str = "once"
    grace: timedelta = timedelta(seconds=60)
    catch_up_window: timedelta = timedelta(hours=24)
    overlap: str = "skip"
    free_slots: int = 1
    stopped: SkipReason | None = None  # paused or breaker open: nothing runs
    trial: bool = False  # the breaker is half open: one run decides, whatever the policies say
    most_catch_ups: int = MOST_RUNS_AT_ONCE  # late runs of `all` in this planning


@dataclass(frozen=True)
class Span:
    """The ticks in (after, until] end with one reason; `count` of them, at least one."""

    after: datetime
    until: datetime
    reason: SkipReason
    count: int


@dataclass
class Verdicts:
    """A partition of the due ticks up to `until`: each is in `runs` or in exactly one span.

    `until` is the end of the window unless that holds more runs than one planning may make.
    """

    until: datetime
    runs: list[datetime] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)


def judge(recurrence: Recurrence, situation: Situation) -> Verdicts:
    """Return the verdicts of the ticks of `recurrence` in the situation's window, oldest first."""
    judgement = _Judgement(recurrence, situation)
    if situation.stopped is not None:
        judgement.skip_rest(situation.stopped)
    else:
        judgement.pass_over_misfired()
        judgement.catch_up()
        judgement.run_rest()
    return judgement.verdicts


class _Judgement:
    """Walks the window once, from its oldest tick; `position` is how far it has come."""

    def __init__(self, recurrence: Recurrence, situation: Situation) -> None:
        self.recurrence = recurrence
        self.situation = situation
        self.position = situation.after
        self.verdicts = Verdicts(until=situation.until)

    def skip_to(self, until: datetime, reason: SkipReason) -> None:
        """End every tick up to `until` with the reason."""
        until = min(until, self.verdicts.until)
        if until <= self.position:
            return
        if count := self.recurrence.count(self.position, until):
            self.verdicts.spans.append(Span(self.position, until, reason, count))
        self.position = until

    def skip_rest(self, reason: SkipReason) -> None:
        """End every remaining tick with the reason."""
        self.skip_to(self.verdicts.until, reason)

    def pass_over_misfired(self) -> None:
        """Give the ticks later than the grace their verdict by the misfire policy."""
        late_until = self._late_until()
        match self.situation.misfire:
            case "skip":
                self.skip_to(late_until, SkipReason.MISSED)
            case "once":
                self._keep_the_newest(late_until)
            case _:
                self.skip_to(self.situation.now - self.situation.catch_up_window, SkipReason.MISSED)

    def _keep_the_newest(self, late_until: datetime) -> None:
        """Coalesce the late ticks into the newest tick of the window, late or not."""
        newest = self.recurrence.latest(self.position, self.situation.until)
        if newest is not None:
            self.skip_to(min(late_until, newest - INSTANT), SkipReason.COALESCED)

    def catch_up(self) -> None:
        """Run the late ticks of `all`: they wait for the slot, whatever the overlap policy says."""
        if self.situation.misfire == "all" and not self.situation.trial:
            self._run_to(self._late_until(), most=self.situation.most_catch_ups)

    def run_rest(self) -> None:
        """Run the remaining ticks, or as many of the newest as there is room for."""
        room = self._room()
        if room == 0:
            in_trial = self.situation.trial
            self.skip_rest(SkipReason.BREAKER_OPEN if in_trial else SkipReason.OVERLAP)
        elif room is not None and self._count_rest() > room:
            self.skip_to(self._just_before_newest(room), SkipReason.COALESCED)
        self._run_to(self.verdicts.until, most=MOST_RUNS_AT_ONCE)

    def _run_to(self, until: datetime, *, most: int) -> None:
        """Run every tick up to `until`; after the first `most` of them this planning ends."""
        until = min(until, self.verdicts.until)
        if until <= self.position:
            return
        ticks = list(islice(self.recurrence.between(self.position, until), most + 1))
        if len(ticks) > most:
            until = self.verdicts.until = ticks[most - 1]
        self.verdicts.runs += ticks[:most]
        self.position = until

    def _late_until(self) -> datetime:
        return self.situation.now - self.situation.grace

    def _room(self) -> int | None:
        """How many of the ticks may become runs; None: all."""
        free = max(0, self.situation.free_slots - len(self.verdicts.runs))
        if self.situation.trial:
            return min(1, free)
        return None if self.situation.overlap == "queue" else free

    def _count_rest(self) -> int:
        if self.verdicts.until <= self.position:
            return 0
        return self.recurrence.count(self.position, self.verdicts.until)

    def _just_before_newest(self, room: int) -> datetime:
        edge = self.verdicts.until
        for _ in range(room):
            tick = self.recurrence.latest(self.position, edge)
            if tick is None:
                break
            edge = tick - INSTANT
        return edge
