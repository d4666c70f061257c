"""Looks at the ledger all the while: how far it is, and that nothing holds a slot too many."""

import logging
import threading
from collections import defaultdict

from django.db import connection
from django.db.models import Sum

from opsproject.chaos.apart import SCOPE
from opsproject.chaos.history import Excess
from opsproject.chaos.office_work import limits_of_offices, slots_of
from scheduling.clock import database_now
from scheduling.models import Job, Run, SkippedTicks
from scheduling.outage import OUTAGE

logger = logging.getLogger(__name__)

EVERY_SECONDS = 0.2


class Watcher(threading.Thread):
    """A thread with a connection of its own; a database that does not answer is asked again."""

    def __init__(self) -> None:
        super().__init__(name="chaos-watcher", daemon=True)
        self.looks = 0
        self.ticks = 0
        self.ended = 0
        self.excesses: list[Excess] = []
        self.failures: list[str] = []
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopping.wait(EVERY_SECONDS):
            try:
                self._look()
            except OUTAGE:
                connection.close()
            except Exception as error:
                # A watcher that ended unnoticed would vouch for limits that nobody looked at.
                logger.exception("watcher_failed")
                self.failures.append(f"{type(error).__name__}: {error}")
        connection.close()

    def stop(self) -> None:
        """End after the present look."""
        self._stopping.set()
        self.join()

    def _look(self) -> None:
        limits = all_limits()
        held: defaultdict[str, list[str]] = defaultdict(list)
        # One statement, so that all rows are of one moment.
        rows = Run.objects.holding_slot().values_list(
            "job__job_id", "office__office_id", "role", "id", "state"
        )
        for job, office, role, run, state in rows:
            for slot in slots_of(job, office, role):
                held[slot].append(f"{run} {state}")
        self.looks += 1
        for slot, runs in held.items():
            limit = limits.get(slot)
            if limit is not None and len(runs) > limit:
                found = Excess(job=slot, at=database_now(), limit=limit, runs=tuple(runs))
                self.excesses.append(found)
        self._count()

    def _count(self) -> None:
        planned = Run.objects.filter(scheduled_for__isnull=False).count()
        skipped = SkippedTicks.objects.aggregate(ticks=Sum("count"))["ticks"] or 0
        self.ticks = planned + skipped
        self.ended = Run.objects.filter(finished_at__isnull=False).count()


def all_limits() -> dict[str, int]:
    """Return what jobs, offices and roles allow at once."""
    jobs = dict(Job.objects.in_scope(SCOPE).values_list("job_id", "max_parallel"))
    return {**jobs, **limits_of_offices()}
