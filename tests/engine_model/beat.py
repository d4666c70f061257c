"""A beat of the model: the steps of `scheduling.engine.tick`, and what it remembers between them.

Publishing is left out: any message of a claimed attempt may arrive at any time, any number of
times, or never, and that is more than a broker can do.
"""

from collections.abc import Callable, Container
from datetime import datetime
from itertools import count

from django.test import override_settings

from opsproject.celery import app
from scheduling.clock import PlanClock
from scheduling.engine.adoption.adopt import Adoption
from scheduling.engine.events.sequence import number_events
from scheduling.engine.liveness import Liveness
from scheduling.engine.pauses import end_pauses
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.pruning.old_history import next_page
from scheduling.engine.pruning.prune import prune
from scheduling.engine.recover import (
    end_unconfirmed_stops,
    expire_waiting,
    fail_unstartable,
    stop_overdue,
    take_from_lost_workers,
)
from scheduling.engine.resolve import resolve_waiting
from tests.claims import claim_ready

SCOPE = "real"
LEDGER_DAYS = 1
ROWS_OF_A_BATCH = 40
MOST_SLICES = 100


class Beat:
    """One beat process; a new one takes its place when it is killed, and knows nothing."""

    def __init__(self) -> None:
        self.adoption = Adoption(app, SCOPE)
        self.liveness = Liveness(loop_seconds=1.0)
        self.clock = PlanClock()

    def turn(self, now: datetime, monotonic: float, *, but_for: Container[str] = ()) -> None:
        """Do every step in its order, unless the clock has jumped."""
        if self.clock.believes(now, monotonic=monotonic):
            for name in STEPS:
                if name not in but_for:
                    self.do(name, now, monotonic)

    def do(self, step: str, now: datetime, monotonic: float) -> None:
        """Do one step."""
        STEPS[step](self, now, monotonic)

    def follow_schedules(self, now: datetime, monotonic: float) -> None:
        """Follow the periodic tasks until there is nothing left to follow."""
        for slices in count():
            self.adoption.follow(now=now, monotonic=monotonic)
            if not self.adoption.behind:
                return
            assert slices < MOST_SLICES, "the beat never gets in step"

    def take_from_lost_workers(self, now: datetime, monotonic: float) -> None:
        """Look which workers beat."""
        take_from_lost_workers(SCOPE, self.liveness, now=now, monotonic=monotonic)

    def claim(self, now: datetime, monotonic: float) -> None:
        """Claim page after page."""
        del monotonic
        while claim_ready(SCOPE, now=now):
            pass

    def prune(self, now: datetime, monotonic: float) -> None:
        """Turn what is older than a day into totals."""
        del monotonic
        with override_settings(OPS_LEDGER_DAYS=LEDGER_DAYS):
            page = next_page(SCOPE, after=0, now=now)
            waiting = page.old if page else []
            while waiting and (done := prune(waiting, now=now, rows=ROWS_OF_A_BATCH)).rows:
                waiting = done.waiting


Step = Callable[[Beat, datetime, float], object]


def _scoped(step: Callable[..., object]) -> Step:
    """Most steps need to know the scope and the time, and remember nothing."""
    return lambda _beat, now, _monotonic: step(SCOPE, now=now)


STEPS: dict[str, Step] = {
    "follow": Beat.follow_schedules,
    "end pauses": _scoped(end_pauses),
    "plan": _scoped(plan_due_jobs),
    "resolve": _scoped(resolve_waiting),
    "claim": Beat.claim,
    "expire": _scoped(expire_waiting),
    "take from the lost": Beat.take_from_lost_workers,
    "stop overdue": _scoped(stop_overdue),
    "end unconfirmed stops": _scoped(end_unconfirmed_stops),
    "fail unstartable": _scoped(fail_unstartable),
    "number events": lambda _beat, _now, _monotonic: number_events(),
    "prune": Beat.prune,
}
