"""The exact proof: walks a job's stretches and its verdicts side by side, tick by tick."""

from collections.abc import Iterable
from datetime import datetime

from scheduling.ledger.account import Account, Trouble
from scheduling.ledger.history import Verdict
from scheduling.ledger.stretches import Stretch
from scheduling.recurrence import Recurrence
from scheduling.recurrence.contract import EPOCH


def prove_ticks(
    account: Account,
    stretches: Iterable[Stretch],
    verdicts: Iterable[Verdict],
    *,
    pruned_until: datetime | None,
) -> None:
    """Count planned ticks and verdicts, and note each tick that has not exactly one."""
    walk = _Walk(account, stretches, pruned_until)
    for verdict in verdicts:
        walk.come_to(verdict)
        walk.judge(verdict)
    walk.end()


class _Walk:
    """Where the proof stands: every tick of `stretch` up to `position` is accounted for."""

    def __init__(
        self, account: Account, stretches: Iterable[Stretch], pruned_until: datetime | None
    ) -> None:
        self.account = account
        self.pruned_until = pruned_until
        self.ahead = iter(stretches)
        self.last: Verdict | None = None
        self.stretch: Stretch | None = None
        self.position = EPOCH
        self._enter_next()

    def come_to(self, verdict: Verdict) -> None:
        """Leave the stretches that lie before the verdict."""
        while self.stretch is not None and verdict.after >= self.stretch.end:
            self._leave()

    def end(self) -> None:
        """Leave the stretches that no verdict is left for."""
        while self.stretch is not None:
            self._leave()

    def judge(self, verdict: Verdict) -> None:
        """Count a verdict and hold it against the schedule."""
        stretch = self.stretch
        if stretch is None or not _belongs(verdict, stretch):
            self._add(verdict, verdict.ticks)
            self.account.note(Trouble.INVENTED, f"{verdict} lies in no time of its schedule")
        elif stretch.recurrence is None:
            self._add(verdict, verdict.ticks)
        elif (
            verdict.span_id is None
            and stretch.recurrence.next_after(self.position) == verdict.until
        ):
            self._add(verdict, 1)  # the usual case, decided by one look at the schedule
            self._settle(verdict)
        else:
            self._examine(verdict, stretch, stretch.recurrence)

    def _examine(self, verdict: Verdict, stretch: Stretch, recurrence: Recurrence) -> None:
        inside = stretch.count(verdict.after, verdict.until)
        whole = verdict.after >= stretch.low and verdict.until <= stretch.high
        self._add(verdict, verdict.ticks if whole else inside)
        if self.pruned_until is not None and verdict.after < self.pruned_until:
            self.account.note(Trouble.DOUBLED, f"{verdict} reaches into what was pruned")
        if max(verdict.after, stretch.low) < self.position:
            self.account.note(Trouble.DOUBLED, f"{verdict} and {self.last} overlap")
        self._note_gap(stretch, verdict.after)
        planned = recurrence.count(verdict.after, verdict.until)
        if planned == verdict.ticks:
            self._settle(verdict)
        elif verdict.span_id is None:
            self.account.note(Trouble.INVENTED, f"{verdict} was never planned")
        else:
            self._settle(verdict)
            text = f"{verdict} count {verdict.ticks}, their schedule has {planned}"
            self.account.note(Trouble.MISCOUNTED, text)

    def _add(self, verdict: Verdict, count: int) -> None:
        if verdict.name:
            self.account.verdicts[verdict.name] += count
        else:
            self.account.open += count

    def _settle(self, verdict: Verdict) -> None:
        if verdict.until > self.position:
            self.position = verdict.until
            self.last = verdict

    def _leave(self) -> None:
        if self.stretch is not None:
            self._note_gap(self.stretch, self.stretch.high)
        self._enter_next()

    def _enter_next(self) -> None:
        self.stretch = next(self.ahead, None)
        if self.stretch is not None:
            self.position = self.stretch.low
            self.account.planned += self.stretch.count(self.stretch.low, self.stretch.high)

    def _note_gap(self, stretch: Stretch, until: datetime) -> None:
        """No tick may lie between the last verdict and the next."""
        missing = stretch.count(self.position, until)
        if missing and stretch.recurrence is not None:
            first = stretch.recurrence.next_after(self.position)
            last = stretch.recurrence.latest(self.position, until)
            text = f"{missing} ticks from {first} to {last} have" if missing > 1 else f"{first} has"
            self.account.note(Trouble.MISSING, f"{text} no verdict")
            self.position = until  # said once


def _belongs(verdict: Verdict, stretch: Stretch) -> bool:
    return (
        verdict.epoch_id == stretch.epoch_id
        and verdict.after >= stretch.begin
        and verdict.until <= stretch.end
    )
