"""What the gates of runs depend on besides the runs themselves, read for many as for one."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from scheduling.engine.candidates import claimable
from scheduling.engine.slots import offices_of
from scheduling.models import Job, Office, RoleLimit, Run, RunDependency, WorkerProcess
from scheduling.states import RunState

OF_A_HOLDER = (
    *("name", "scope", "state", "job_id", "office_id", "role"),
    *("queued_at", "started_at", "published_at", "expires_at", "reporting"),
)


@dataclass(frozen=True)
class Facts:
    """How jobs, offices, dependencies and workers stand, as far as some runs are concerned."""

    jobs: dict[int, Job]
    offices: dict[tuple[str, int | None], Office]
    role_limits: dict[tuple[int, str], int]
    holders: Sequence[Run]
    unmet: dict[UUID, list[Run]]
    workers: Sequence[WorkerProcess]
    claimable: set[UUID]  # what the next claim would take

    @classmethod
    def of(cls, runs: Sequence[Run], *, now: datetime) -> "Facts":
        """Read them."""
        offices = {_key(office): office for office in offices_of(runs)}
        limits = RoleLimit.objects.filter(
            office__in=[office.pk for office in offices.values()], max_concurrent__isnull=False
        )
        live = WorkerProcess.objects.live().filter(scope__in={run.scope for run in runs})
        return cls(
            jobs=Job.objects.in_bulk({run.job_id for run in runs if run.job_id is not None}),
            offices=offices,
            role_limits={
                (office, role): most or 0
                for office, role, most in limits.values_list("office_id", "role", "max_concurrent")
            },
            holders=_holders(runs, offices),
            unmet=_unmet(runs),
            workers=list(live),
            claimable=_claimable(runs, now),
        )

    def office(self, run: Run) -> Office | None:
        """Return the office whose limits hold for a run; a default one may have none."""
        return self.offices.get((run.scope, run.office_id))

    def holding(self, test: Callable[[Run], bool]) -> list[Run]:
        """Return what holds a slot and passes a test, the longest holder first."""
        return [run for run in self.holders if test(run)]

    def serving(self, queue: str) -> list[WorkerProcess]:
        """Return the live workers of ours that serve a queue."""
        return [worker for worker in self.workers if queue in worker.queues]


def _key(office: Office) -> tuple[str, int | None]:
    return office.scope, None if office.is_default else office.pk


def _holders(runs: Sequence[Run], offices: dict[tuple[str, int | None], Office]) -> Sequence[Run]:
    """Return what holds a slot of the runs' jobs and limited offices: never more than the slots."""
    theirs = Q(job_id__in={run.job_id for run in runs if run.job_id is not None})
    for scope, office_pk in offices:
        theirs |= Q(scope=scope, office=office_pk)
    held = Run.objects.holding_slot().filter(theirs).only(*OF_A_HOLDER)
    return list(held.order_by("queued_at", "id"))


def _claimable(runs: Sequence[Run], now: datetime) -> set[UUID]:
    """Ask the engine itself: who is taken depends on all that are ahead, and on their slots."""
    scopes = {run.scope for run in runs if run.state == RunState.READY}
    return {pk for scope in scopes for pk in claimable(scope, now=now)}


def _unmet(runs: Sequence[Run]) -> dict[UUID, list[Run]]:
    """Return what is waited for; what is done holds nobody back, though nobody was told yet."""
    waiting = [run.pk for run in runs if run.unmet]
    unmet: defaultdict[UUID, list[Run]] = defaultdict(list)
    if waiting:
        edges = RunDependency.objects.filter(run__in=waiting, met_at=None)
        edges = edges.exclude(depends_on__state=RunState.DONE)
        awaited = edges.select_related("depends_on").only(
            "run_id", "depends_on__name", "depends_on__state"
        )
        for edge in awaited.order_by("depends_on"):
            unmet[edge.run_id].append(edge.depends_on)
    return unmet
