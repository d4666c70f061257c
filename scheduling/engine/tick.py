"""One turn of the beat: drives the flow in its order and is the safety net for all of it.

Any number of beats may turn at once; whatever one of them leaves half done, another finishes.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from celery import Celery
from django.db import connection

from scheduling.clock import OUTAGE, PlanClock, database_now
from scheduling.engine.adopt import Adoption
from scheduling.engine.claim import claim_ready
from scheduling.engine.liveness import Liveness
from scheduling.engine.pauses import end_pauses
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.publish import Publisher
from scheduling.engine.recover import (
    end_unconfirmed_stops,
    expire_waiting,
    fail_unstartable,
    publish_unsent,
    stop_overdue,
    take_from_lost_workers,
)
from scheduling.engine.republish import MissingMessages
from scheduling.engine.resolve import resolve_waiting
from scheduling.engine.sequence import number_events
from scheduling.models import Job

logger = logging.getLogger(__name__)

OUTAGE_WAIT_SECONDS = 1.0
SHORTEST_SLEEP_SECONDS = 0.01  # what is due and locked elsewhere is another beat's


class Engine:
    """What one beat remembers between two turns; all of it may be lost at any moment."""

    def __init__(self, app: Celery, *, scope: str, tick_seconds: float) -> None:
        self.scope = scope
        self.tick_seconds = tick_seconds
        self.clock = PlanClock()
        self.adoption = Adoption(scope)
        self.liveness = Liveness(loop_seconds=tick_seconds)
        self.publisher = Publisher(app)
        self.missing = MissingMessages(app, scope)

    def turn(self) -> float:
        """Do what is due; return for how many seconds nothing will be."""
        try:
            now = database_now()
            if not self.clock.believes(now, monotonic=time.monotonic()):
                return SHORTEST_SLEEP_SECONDS
            self.publisher.available = True
            for step in self._steps():
                self._guard(step, now)
            return SHORTEST_SLEEP_SECONDS if self.adoption.behind else self._seconds_until_due(now)
        except OUTAGE as error:
            logger.warning("database_unreachable", extra={"error": str(error)})
        except Exception:
            # Tables that are not migrated yet, a database being restored: no reason to end a beat.
            logger.exception("engine_turn_failed", extra={"scope": self.scope})
        connection.close()
        return OUTAGE_WAIT_SECONDS

    def _steps(self) -> tuple[Callable[[datetime], object], ...]:
        return (
            self._follow_schedules,
            self._end_pauses,
            self._plan,
            self._recover,
            self._claim_and_publish,
            self._republish,
            self._number_events,
        )

    def _follow_schedules(self, now: datetime) -> None:
        self.adoption.follow(now=now, monotonic=time.monotonic())

    def _end_pauses(self, now: datetime) -> None:
        end_pauses(self.scope, now=now)

    def _plan(self, now: datetime) -> None:
        plan_due_jobs(self.scope, now=now)

    def _recover(self, now: datetime) -> None:
        expire_waiting(self.scope, now=now)
        take_from_lost_workers(self.scope, self.liveness, now=now, monotonic=time.monotonic())
        stop_overdue(self.scope, now=now)
        end_unconfirmed_stops(self.scope, now=now)
        fail_unstartable(self.scope, now=now)
        resolve_waiting(self.scope, now=now)

    def _claim_and_publish(self, now: datetime) -> None:
        for claimed in claim_ready(self.scope, now=now):
            self.publisher.publish(claimed, now=now)

    def _republish(self, now: datetime) -> None:
        if self.publisher.available:
            publish_unsent(self.scope, self.publisher, now=now)
            self.missing.sweep(self.publisher, now=now, monotonic=time.monotonic())

    def _number_events(self, now: datetime) -> None:
        del now
        number_events()

    def _guard(self, step: Callable[[datetime], object], now: datetime) -> None:
        """Run one step; what goes wrong in it must not keep the next ones from their work."""
        try:
            step(now)
        except OUTAGE:
            raise
        except Exception:
            logger.exception(
                "engine_step_failed", extra={"step": step.__name__, "scope": self.scope}
            )

    def _seconds_until_due(self, now: datetime) -> float:
        due = (
            Job.objects.in_scope(self.scope)
            .filter(enabled=True, next_due_at__isnull=False)
            .order_by("next_due_at")
            .values_list("next_due_at", flat=True)
            .first()
        )
        if due is None:
            return self.tick_seconds
        waited = (database_now() - now).total_seconds()
        wait = max(SHORTEST_SLEEP_SECONDS, (due - now).total_seconds() - waited)
        return min(self.tick_seconds, wait)
