"""One turn of the beat: drives the flow in its order and is the safety net for all of it.

Any number of beats may turn at once; whatever one of them leaves half done, another finishes.
"""

import logging
import math
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from celery import Celery
from django.db import connection
from django.db.models import QuerySet

from scheduling.clock import PlanClock, database_now
from scheduling.conf import conf
from scheduling.engine.adoption.adopt import Adoption
from scheduling.engine.agenda import EVERYTHING, Agenda, Occasion, agenda
from scheduling.engine.candidates import claimable
from scheduling.engine.chains.delay_queue import wait_at_broker
from scheduling.engine.chains.due_links import due_chains, tend_chains
from scheduling.engine.claim import claim_page
from scheduling.engine.events.sequence import number_events
from scheduling.engine.events.tallies import fold_events
from scheduling.engine.pauses import end_pauses
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.pruning.cleaner import Cleaner
from scheduling.engine.publishing.publish import Publisher
from scheduling.engine.publishing.republish import MissingMessages
from scheduling.engine.publishing.serving import Serving
from scheduling.engine.recover import (
    end_unconfirmed_stops,
    end_unreported,
    expire_waiting,
    fail_unstartable,
    publish_unsent,
    stop_overdue,
)
from scheduling.engine.resolve import pass_on_ends, resolve_waiting
from scheduling.engine.startup import StartupRuns
from scheduling.engine.unbuilt import take_away_unbuilt
from scheduling.models import Job, Run
from scheduling.models.job import RescheduleMode
from scheduling.outage import is_outage
from scheduling.states import WAITING, RunState

logger = logging.getLogger(__name__)

OUTAGE_WAIT_SECONDS = 1.0
LOCKED_ELSEWHERE_SECONDS = 0.05
SHORTEST_SLEEP_SECONDS = 0.01  # what is due and locked elsewhere is another beat's


@dataclass(frozen=True)
class Step:
    """Something to do in a turn, and what on the agenda calls for it; nothing means always."""

    do: Callable[..., object]  # takes `now`, returns whether there may be more
    on: AbstractSet[RunState | Occasion] = frozenset()


Steps = tuple[Step, ...]


class Engine:
    """What one beat remembers between two turns; all of it may be lost at any moment."""

    def __init__(self, app: Celery, *, scope: str, tick_seconds: float) -> None:
        self.scope = scope
        self.tick_seconds = tick_seconds
        self.clock = PlanClock()
        self.adoption = Adoption(app, scope)
        self.publisher = Publisher(app, Serving(app, scope))
        self.missing = MissingMessages(app, scope)
        self.startup = StartupRuns(scope, conf.OPS_DEPLOYMENT)
        self.cleaner = Cleaner(scope)
        self._left_behind = False  # whether runs with a slot were locked by somebody else
        self._tallies_behind = True  # as far as it knows
        self._kept_up_at = -math.inf
        self._to_do: Agenda = EVERYTHING
        self._looked = False  # whether that is still how things are

    def turn(self) -> float:
        """Do a page of what is due; return for how many seconds nothing will be.

        However much there is to do, a turn is short: what is left is the next one's, at once.
        """
        try:
            began, now = time.monotonic(), database_now()
            if not self.clock.believes(now, monotonic=began):
                return SHORTEST_SLEEP_SECONDS
            self._looked = self._left_behind = did_something = False
            for steps_of in (self._following, self._planning, self._starting, self._due_upkeep):
                did_something |= self._do(steps_of(), now)
            return 0.0 if did_something else self._seconds_until_due(now, began)
        except Exception as error:
            # Tables that are not migrated yet, a database being restored: no reason to end a beat.
            if is_outage(error):
                logger.warning("database_unreachable", extra={"error": str(error)})
            else:
                logger.exception("engine_turn_failed", extra={"scope": self.scope})
        connection.close()
        return OUTAGE_WAIT_SECONDS

    def _following(self) -> Steps:
        """What others have changed comes first: it may be due at once."""
        return (Step(self._follow_schedules),)

    def _planning(self) -> Steps:
        """What turns a due tick into a run; each returns whether there may be more."""
        return (
            Step(partial(end_pauses, self.scope), on={Occasion.PAUSE_OVER}),
            Step(partial(plan_due_jobs, self.scope), on={Occasion.JOB_DUE}),
            Step(self._tend_chains, on={Occasion.JOB_DUE}),
        )

    def _starting(self) -> Steps:
        """What turns a run into a message."""
        return (
            Step(partial(pass_on_ends, self.scope), on={RunState.PENDING}),
            Step(partial(resolve_waiting, self.scope), on={RunState.PENDING}),
            Step(self._claim_and_publish, on=WAITING),
        )

    def _due_upkeep(self) -> Steps:
        """What mends and keeps, not more often than once in `tick_seconds`."""
        if self._upkeep_due_in() > 0:
            return ()
        self._kept_up_at = time.monotonic()
        return (
            Step(partial(expire_waiting, self.scope), on=WAITING | {RunState.QUEUED}),
            Step(partial(end_unreported, self.scope), on={RunState.QUEUED}),
            Step(partial(stop_overdue, self.scope), on={RunState.RUNNING}),
            Step(partial(end_unconfirmed_stops, self.scope), on={RunState.STOPPING}),
            Step(partial(fail_unstartable, self.scope), on={RunState.QUEUED}),
            Step(self._republish, on={RunState.QUEUED}),
            Step(self._open_startup_runs),
            Step(partial(take_away_unbuilt, self.scope), on={Occasion.SUBMISSION_UNBUILT}),
            Step(self._number_events, on={Occasion.EVENT_UNNUMBERED}),
            Step(self._keep_tallies),
            Step(self.cleaner.clean_up),
        )

    def _follow_schedules(self, *, now: datetime) -> None:
        self.adoption.follow(now=now, monotonic=time.monotonic())

    def _tend_chains(self, *, now: datetime) -> bool:
        chains = due_chains(self.scope, now=now)
        if chains:
            links = tend_chains(chains, now=now)
            wait_at_broker(self.publisher.app, links if self.publisher.available else [], now=now)
        return bool(chains)

    def _claim_and_publish(self, *, now: datetime) -> bool:
        if not self.publisher.available:
            return False  # what is ready can still be skipped, cancelled and moved up
        page = claimable(self.scope, now=now)
        claimed = claim_page(page, now=now)
        # Whoever has locked the rest may have passed over it for a lock of ours, as briefly held.
        self._left_behind = len(claimed) < len(page)
        self.publisher.publish(claimed, now=now)
        return bool(claimed) and self.publisher.available

    def _republish(self, *, now: datetime) -> None:
        if self.publisher.available:
            publish_unsent(self.scope, self.publisher, now=now)
            self.missing.sweep(self.publisher, now=now, monotonic=time.monotonic())

    def _open_startup_runs(self, *, now: datetime) -> int:
        return self.startup.open_due(now=now, monotonic=time.monotonic())

    def _number_events(self, *, now: datetime) -> None:
        del now
        self._tallies_behind |= bool(number_events())

    def _keep_tallies(self, *, now: datetime) -> bool:
        del now
        if self._tallies_behind:
            self._tallies_behind = fold_events(self.scope)
        return self._tallies_behind

    def _look(self, now: datetime) -> None:
        """See what there is to do; where that cannot be said, it may be anything."""
        try:
            self._to_do = agenda(self.scope, now=now)
        except Exception as error:
            if is_outage(error):
                raise
            logger.exception("agenda_not_readable", extra={"scope": self.scope})
            self._to_do = EVERYTHING
        self._looked = True

    def _do(self, steps: Steps, now: datetime) -> bool:
        """Run the steps in order, all of them; return whether one of them may have more to do."""
        if not self._looked and any(step.on for step in steps):
            self._look(now)
        due = [step for step in steps if not step.on or step.on & self._to_do]
        did = [self._guard(step.do, now) for step in due]
        self._looked &= not any(did)  # what was done may call for more
        return any(did)

    def _guard(self, do: Callable[..., object], now: datetime) -> bool:
        """Do one step; what goes wrong in it must not keep the next ones from their work."""
        try:
            return bool(do(now=now))
        except Exception as error:
            if is_outage(error):
                raise
            name = getattr(do, "func", do).__name__
            logger.exception("engine_step_failed", extra={"step": name, "scope": self.scope})
            self._looked = False  # it may have done a part
        return False

    def _seconds_until_due(self, now: datetime, began: float) -> float:
        if self.adoption.behind:
            return SHORTEST_SLEEP_SECONDS
        if self._left_behind:
            return LOCKED_ELSEWHERE_SECONDS
        due_at = min(filter(None, (self._next_tick(now), self._next_retry(now))), default=None)
        longest = max(SHORTEST_SLEEP_SECONDS, self._upkeep_due_in())
        if due_at is None:
            return longest
        passed = time.monotonic() - began
        wait = max(SHORTEST_SLEEP_SECONDS, (due_at - now).total_seconds() - passed)
        return min(longest, wait)

    def _next_tick(self, now: datetime) -> datetime | None:
        jobs = Job.objects.in_scope(self.scope).filter(enabled=True, next_due_at__isnull=False)
        # A chain's time lies behind while its run is in progress, and is not waited for.
        jobs = jobs.exclude(reschedule_mode=RescheduleMode.QUEUE, next_due_at__lte=now)
        return _first(jobs.order_by("next_due_at").values_list("next_due_at", flat=True))

    def _next_retry(self, now: datetime) -> datetime | None:
        """When the next of the runs that wait for their next attempt is due."""
        if RunState.PENDING not in self._to_do:
            return None
        runs = Run.objects.in_scope(self.scope).open(RunState.PENDING)
        runs = runs.filter(unmet=0, next_attempt_at__gt=now)
        return _first(runs.order_by("next_attempt_at").values_list("next_attempt_at", flat=True))

    def _upkeep_due_in(self) -> float:
        """How many seconds the upkeep still has time, at most `tick_seconds`."""
        return self._kept_up_at + self.tick_seconds - time.monotonic()


def _first(instants: "QuerySet[Any, datetime | None]") -> datetime | None:
    """Return the first; one that is no instant, or beyond the calendar, is not waited for."""
    try:
        return instants.first()
    except Exception as error:
        if is_outage(error):
            raise
        logger.warning("instant_not_readable", extra={"error": str(error)})
        return None
