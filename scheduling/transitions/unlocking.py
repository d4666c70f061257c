"""A run has ended: what waited for it is freed of one wait, or is cancelled with it (SPEC B2).

A transaction of its own behind the end: the runs on both sides are locked together, in the order
of their ids, which the end, holding its own run already, could not do. Until then the ended run is
`awaited`; the cost is in proportion to those who wait for it.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from scheduling.bulk import update_rows
from scheduling.models import Run, RunDependency
from scheduling.models.event import EventKind
from scheduling.states import FINAL, RunState
from scheduling.transitions.rows import LOOKED_AT, move, tell

MOST_DEPENDENTS = 500  # of one transaction
DEPENDENCY = "dependency:"

_OPEN_WAITS = RunDependency.objects.filter(met_at=None, run__finished_at=None)


@dataclass
class Unlocked:
    """What became of those who waited."""

    freed: list[UUID] = field(default_factory=list)  # wait for no other run any more
    cancelled: list[UUID] = field(default_factory=list)
    settled: int = 0  # of the given runs, how many nobody waits for any more

    @property
    def changes(self) -> int:
        """How much it was."""
        return len(self.freed) + len(self.cancelled) + self.settled


def await_ends(run_ids: Collection[UUID]) -> None:
    """Have the ends of these runs passed on, also where they have ended already."""
    with transaction.atomic():
        ids = list(_locked(run_ids))
        Run.objects.filter(pk__in=ids).update(awaited=True)


def unlock(run_ids: Collection[UUID], *, now: datetime) -> Unlocked:
    """Free or cancel those who wait for the given runs, as these have ended.

    A run that was opened again meanwhile keeps those who wait for it.
    """
    with transaction.atomic():
        unlocked = Unlocked()
        waits = list(_waits_for(run_ids).order_by("depends_on", "run")[:MOST_DEPENDENTS])
        runs = _locked({*run_ids, *(wait.run_id for wait in waits)})
        ended = {pk: runs[pk] for pk in run_ids if pk in runs and runs[pk].state in FINAL}
        waits = [wait for wait in waits if _still_waits(wait, runs, ended)]
        met = [wait for wait in waits if ended[wait.depends_on_id].state == RunState.DONE]
        unlocked.freed = _meet(met, runs, now)
        failed = [wait for wait in waits if ended[wait.depends_on_id].state != RunState.DONE]
        unlocked.cancelled = _cancel(failed, runs, now)
        unlocked.settled = _note_who_is_awaited(ended)
    return unlocked


def root_of(run: Run) -> str:
    """Return the id of the run for whose end this one was cancelled, or its own."""
    # Only of a cancelled run is the reason ours: that of a failed one is the code of its error.
    fell = run.state == RunState.CANCELLED and run.reason.startswith(DEPENDENCY)
    return run.reason.removeprefix(DEPENDENCY) if fell else str(run.pk)


def _waits_for(run_ids: Collection[UUID]) -> QuerySet[RunDependency]:
    return _OPEN_WAITS.filter(depends_on__in=run_ids)


def _note_who_is_awaited(ended: Collection[UUID]) -> int:
    """Behind the lock: a submission may have come to wait for one of them meanwhile."""
    waits = _OPEN_WAITS.filter(depends_on=OuterRef("pk"))
    return Run.objects.filter(~Exists(waits), pk__in=ended).update(awaited=False)


def _locked(run_ids: Collection[UUID]) -> dict[UUID, Run]:
    runs = Run.objects.select_for_update().filter(id__in=run_ids).only(*LOOKED_AT)
    return {run.pk: run for run in runs.order_by("id")}


def _still_waits(wait: RunDependency, runs: dict[UUID, Run], ended: dict[UUID, Run]) -> bool:
    """Seen again under the lock: somebody else may have unlocked, cancelled or reopened one."""
    dependent = runs.get(wait.run_id)
    return (
        wait.depends_on_id in ended
        and dependent is not None
        and dependent.state == RunState.PENDING
        and dependent.unmet > 0
    )


def _meet(waits: Sequence[RunDependency], runs: dict[UUID, Run], now: datetime) -> list[UUID]:
    """Strike the waits off; return the runs that are now free."""
    # Of two who saw the same wait only one strikes it off.
    unmet = RunDependency.objects.filter(pk__in=[wait.pk for wait in waits], met_at=None)
    struck = set(unmet.values_list("pk", flat=True))
    unmet.update(met_at=now)
    count = Counter(wait.run_id for wait in waits if wait.pk in struck)
    dependents = [runs[pk] for pk in sorted(count)]
    for run in dependents:
        run.unmet -= count[run.pk]
    update_rows(dependents, ["unmet"])
    return [run.pk for run in dependents if not run.unmet]


def _cancel(waits: Sequence[RunDependency], runs: dict[UUID, Run], now: datetime) -> list[UUID]:
    """Cancel who waited for what will not be done; those who wait for them follow in their turn."""
    reasons: dict[UUID, str] = {}
    for wait in waits:
        reasons.setdefault(wait.run_id, DEPENDENCY + root_of(runs[wait.depends_on_id]))
    dependents = [runs[pk] for pk in sorted(reasons)]
    for run in dependents:
        move(run, RunState.CANCELLED)
        run.reason, run.finished_at = reasons[run.pk], now
    update_rows(dependents, ["state", "reason", "finished_at"])
    tell(dependents, EventKind.CANCELLED, now)
    return [run.pk for run in dependents]
