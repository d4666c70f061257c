"""How many more runs may start: of a job, of an office, of a role in an office (SPEC A12, B3).

Slots are never counters: used = runs that are queued, running or stopping (DESIGN rule 7). Counted
under the locks of the jobs and offices it is the truth; without them, a good guess.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from django.db.models import Count, F, Q, QuerySet

from scheduling.models import Office, RoleLimit, Run
from scheduling.models.office import DEFAULT_OFFICE, OfficeState

Key = tuple[str, int | None, str]
JOB, OFFICE, ROLE = "job", "office", "role"


class Claimable(Protocol):
    """What of a run its slots depend on; without an office it is the default office's."""

    @property
    def scope(self) -> str: ...  # noqa: D102 as of a run
    @property
    def job_id(self) -> int | None: ...  # noqa: D102
    @property
    def office_id(self) -> int | None: ...  # noqa: D102
    @property
    def role(self) -> str: ...  # noqa: D102


class Slots:
    """What is free. Who has no limit is not in it, and who may not start has none free."""

    def __init__(self, free: Mapping[Key, int]) -> None:
        self._free = dict(free)

    def take(self, run: Claimable) -> bool:
        """Take a slot of everything that the run belongs to, or none at all."""
        keys = [key for key in _keys(run) if key in self._free]
        if any(self._free[key] <= 0 for key in keys):
            return False
        for key in keys:
            self._free[key] -= 1
        return True

    def close(self, offices: Iterable[Office]) -> None:
        """Give out nothing of these offices."""
        for office in offices:
            self._free[OFFICE, _pk_in_runs(office), ""] = 0


def offices_of(runs: Collection[Claimable]) -> QuerySet[Office]:
    """Return the offices whose limits hold for the runs; a default one has a row if it has any."""
    named = {run.office_id for run in runs} - {None}
    scopes = {run.scope for run in runs if run.office_id is None}
    return Office.objects.filter(Q(id__in=named) | Q(office_id=DEFAULT_OFFICE, scope__in=scopes))


def free_slots(
    job_limits: Mapping[int, int], offices: Collection[Office], *, now: datetime
) -> Slots:
    """Count what is free of jobs, whose limits are given, of offices, and of their roles."""
    used = Run.objects.holding_slot().holding_back(now).count_by_job(job_limits)
    jobs: dict[Key, int] = {(JOB, pk, ""): most - used[pk] for pk, most in job_limits.items()}
    return Slots({**jobs, **_free_of_offices(offices)})


def blocked(scope: str, *, now: datetime) -> Q:
    """Return the condition of runs that cannot start now, for a query over very many of them."""
    condition = Q(job_id__in=jobs_at_limit(now))
    offices = list(Office.objects.in_scope(scope))
    for (kind, office, role), free in _free_of_offices(offices).items():
        if free <= 0:
            condition |= Q(office=office, role=role) if kind == ROLE else Q(office=office)
    return condition


def jobs_at_limit(now: datetime) -> "QuerySet[Run, int]":
    """Jobs whose slots are all taken. What holds one is few, however much is waiting."""
    held = Run.objects.holding_slot().holding_back(now).filter(job_id__isnull=False)
    return (
        held.order_by()
        .values("job_id")
        .annotate(runs=Count("id"))
        .filter(runs__gte=F("job__max_parallel"))
        .values_list("job_id", flat=True)
    )


def _keys(run: Claimable) -> Iterable[Key]:
    if run.job_id is not None:
        yield JOB, run.job_id, ""
    yield OFFICE, run.office_id, ""
    if run.role:
        yield ROLE, run.office_id, run.role


def _free_of_offices(offices: Collection[Office]) -> dict[Key, int]:
    if not offices:
        return {}
    used = _used_of(offices)
    free: dict[Key, int] = {}
    for office in offices:
        key = (OFFICE, _pk_in_runs(office), "")
        if office.state != OfficeState.ACTIVE:
            free[key] = 0
        elif office.max_concurrent is not None:
            free[key] = office.max_concurrent - used[key]
    by_pk: dict[int, int | None] = {office.pk: _pk_in_runs(office) for office in offices}
    limits = RoleLimit.objects.filter(office__in=by_pk, max_concurrent__isnull=False)
    for office_pk, role, most in limits.values_list("office_id", "role", "max_concurrent"):
        key = (ROLE, by_pk[office_pk], role)
        free[key] = (most or 0) - used[key]
    return free


def _used_of(offices: Collection[Office]) -> Counter[Key]:
    """Count what holds a slot, by office and by role of it."""
    named = [office.pk for office in offices if not office.is_default]
    scopes = {office.scope for office in offices if office.is_default}
    theirs = Q(office_id__in=named) | Q(office_id=None, scope__in=scopes)
    held = Run.objects.holding_slot().filter(theirs).order_by().values_list("office_id", "role")
    used: Counter[Key] = Counter()
    for office, role, count in held.annotate(Count("id")):
        used[OFFICE, office, ""] += count
        used[ROLE, office, role] += count
    return used


def _pk_in_runs(office: Office) -> int | None:
    return None if office.is_default else office.pk
