"""Work of offices: batches in layers, each run waiting for two of the layer before it.

Most of it is done in a moment, some is retried, some fails and takes along what waits for it.
"""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from opsproject.chaos.apart import SCOPE
from opsproject.chaos.workload import BY_CHAOS
from scheduling.actions.offices.change_office import change_office
from scheduling.actions.offices.create_office import NewOffice, create_office
from scheduling.actions.offices.work import Work
from scheduling.models import Office, RoleLimit

LAYERS, WIDTH = 5, 5
WAITS = 2
ROLES: Final = ("FE", "BE", "PO")  # the first two at most one at a time, as of any new office
POLICY: Final = {"max_concurrent": 2, "max_retries": 2, "retry_base": timedelta(seconds=0.5)}
LASTING: Final = {"shortest": 0, "longest": 0.2}
FAILS_FIRST, FAILS = 0.1, 0.02  # of the work


def make_offices(count: int) -> list[Office]:
    """Create so many offices, through the door that operators use."""
    made = [
        create_office(NewOffice(scope=SCOPE, office_id=f"office-{number + 1}"), BY_CHAOS)
        for number in range(count)
    ]
    return [change_office(office, BY_CHAOS, POLICY) for office in made]


def draw_works(draw: random.Random) -> list[Work]:
    """Return a batch, of as many runs as layers times width."""
    works: list[Work] = []
    above: list[str] = []
    for layer in range(LAYERS):
        keys = [f"{layer}.{place}" for place in range(WIDTH)]
        works += [_work(draw, key, draw.sample(above, WAITS) if above else []) for key in keys]
        above = keys
    return works


def _work(draw: random.Random, key: str, depends_on: list[str]) -> Work:
    task, params = _task(draw.random())
    role, priority = draw.choice(ROLES), draw.randrange(-2, 3)
    return Work(
        key=key, task=task, params=params, depends_on=depends_on, role=role, priority=priority
    )


def _task(fate: float) -> tuple[str, dict[str, Any]]:
    if fate < FAILS:
        return "chaos.raises", {}
    if fate < FAILS + FAILS_FIRST:
        return "chaos.fails_first", {"failures": 1}
    return "chaos.works", dict(LASTING)


def limits_of_offices() -> dict[str, int]:
    """Return what the offices and their roles allow, by the names that `slots_of` gives."""
    offices = Office.objects.in_scope(SCOPE).exclude(max_concurrent=None)
    roles = RoleLimit.objects.filter(office__scope=SCOPE).exclude(max_concurrent=None)
    found = {office.office_id: office.max_concurrent or 0 for office in offices}
    for role in roles.select_related("office"):
        found[_role_of(role.office.office_id, role.role)] = role.max_concurrent or 0
    return found


def slots_of(job_id: str | None, office_id: str | None, role: str) -> Iterator[str]:
    """Name everything of which a run takes a slot: its job, or its office and its role there."""
    if job_id is not None:
        yield job_id
    if office_id is not None:
        yield office_id
        yield _role_of(office_id, role)


def _role_of(office_id: str, role: str) -> str:
    return f"{role} of {office_id}"
