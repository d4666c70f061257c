"""Which due ticks run and which end with a reason (SPEC A4, A11 to A13); pure, no database."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduling.recurrence import Recurrence
from scheduling.states import SkipReason

MOST_RUNS_AT_ONCE = 1_000  # of one job in one planning; what is older than these is coalesced
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


@dataclass(frozen=True)
class Span:
    """The ticks in (after, until] end with one reason; `count` of them, at least one."""

    after: datetime
    until: datetime
    reason: SkipReason
    count: int


@dataclass
class Verdicts:
    """A partition of the due ticks: each is in `runs` or in exactly one span."""

    runs: list[datetime] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)


def judge(recurrence: Recurrence, situation: Situation) -> Verdicts:
    """Return the verdict of every tick of `recurrence` in the situation's window."""
    judgement = _Judgement(recurrence, situation)
    if situation.stopped is not None:
        judgement.skip_rest(situation.stopped)
    else:
        judgement.pass_over_misfired()
        judgement.run_rest()
    return judgement.verdicts


class _Judgement:
    """Walks the window once, from its oldest tick; `position` is how far it has come."""

    def __init__(self, recurrence: Recurrence, situation: Situation) -> None:
        self.recurrence = recurrence
        self.situation = situation
        self.position = situation.after
        self.verdicts = Verdicts()

    def skip_to(self, until: datetime, reason: SkipReason) -> None:
        """End every tick up to `until` with the reason."""
        until = min(until, self.situation.until)
        if until <= self.position:
            return
        if count := self.recurrence.count(self.position, until):
            self.verdicts.spans.append(Span(self.position, until, reason, count))
        self.position = until

    def skip_rest(self, reason: SkipReason) -> None:
        """End every remaining tick with the reason."""
        self.skip_to(self.situation.until, reason)

    def pass_over_misfired(self) -> None:
        """Give the ticks later than the grace their verdict by the misfire policy."""
        late_until = self.situation.now - self.situation.grace
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

    def run_rest(self) -> None:
        """Run the remaining ticks, or as many of the newest as there is room for."""
        room = self._room()
        if room == 0:
            in_trial = self.situation.trial
            self.skip_rest(SkipReason.BREAKER_OPEN if in_trial else SkipReason.OVERLAP)
            return
        due = self.recurrence.count(self.position, self.situation.until)
        if due > room:
            self.skip_to(self._just_before_newest(room), SkipReason.COALESCED)
        self.verdicts.runs = list(self.recurrence.between(self.position, self.situation.until))

    def _room(self) -> int:
        """How many of the ticks may become runs."""
        free = max(0, self.situation.free_slots)
        if self.situation.trial:
            return min(1, free)
        queueing = self.situation.overlap == "queue" or self.situation.misfire == "all"
        return MOST_RUNS_AT_ONCE if queueing else free

    def _just_before_newest(self, room: int) -> datetime:
        edge = self.situation.until
        for _ in range(room):
            tick = self.recurrence.latest(self.position, edge)
            if tick is None:
                break
            edge = tick - INSTANT
        return edge
