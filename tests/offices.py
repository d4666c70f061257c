"""Offices and their work, as tests make them, and a worker's part in one line."""

from collections.abc import Sequence
from typing import Any

from scheduling.actions.audit import Operator
from scheduling.actions.offices.create_office import NewOffice, create_office
from scheduling.actions.offices.submit_work import submit_work
from scheduling.actions.offices.work import Work
from scheduling.clock import database_now
from scheduling.ending import Ending
from scheduling.engine.resolve import pass_on_ends, resolve_waiting
from scheduling.models import Office, Run, WorkerProcess
from scheduling.states import Outcome, RunState
from scheduling.transitions import finish, start
from tests.claims import claim_ready

OPERATOR = Operator(actor="tester", door="test")


def make_office(office_id: str = "hq", *, scope: str = "real", **values: Any) -> Office:
    office = create_office(NewOffice(scope=scope, office_id=office_id), OPERATOR)
    for name, value in values.items():
        setattr(office, name, value)
    office.save()
    return office


def work(key: str, *depends_on: str, **values: Any) -> Work:
    return Work(key=key, **{"task": "tests.task", **values}, depends_on=depends_on)


def submit(office: Office, *works: Work) -> dict[str, Run]:
    """Submit, and return the runs by their keys."""
    submission = submit_work(office, works, OPERATOR)
    return {run.name: run for run in Run.objects.filter(submission=submission)}


def turn(scope: str = "real") -> list[Run]:
    """Do what a beat does with runs until there is nothing more; return the claimed."""
    claimed: list[Run] = []
    while True:
        now = database_now()
        did = [pass_on_ends(scope, now=now), resolve_waiting(scope, now=now)]
        page = claim_ready(scope, now=now)
        claimed += page
        if not any(did) and not page:
            return claimed


def names(runs: Sequence[Run]) -> list[str]:
    found = Run.objects.in_bulk([run.pk for run in runs])
    return [found[run.pk].name for run in runs]


def begin(*runs: Run) -> None:
    """Start claimed runs on a worker."""
    worker, _ = WorkerProcess.objects.get_or_create(
        hostname="w@test",
        defaults={
            "scope": "real", "host": "here", "pid": 1, "processes": [], "pool": "prefork",
            "concurrency": 9, "can_stop": True, "queues": [], "started_at": database_now(),
        },
    )  # fmt: skip
    fences = [run.fence for run in Run.objects.filter(pk__in=[run.pk for run in runs])]
    assert start(fences, worker_id=worker.pk, now=database_now()) == set(fences)


def end(
    run: Run, outcome: Outcome = Outcome.DONE, *, code: str = "", retryable: bool = False
) -> None:
    """End a run that runs; one that is only claimed is started before."""
    run.refresh_from_db()
    if run.state == RunState.QUEUED:
        begin(run)
    ending = Ending(
        fence=run.fence, outcome=outcome, error=code, error_code=code, retryable=retryable
    )
    assert finish([ending], now=database_now())


def states(runs: dict[str, Run]) -> dict[str, str]:
    """Return each run's state now, and its reason where it has one."""
    rows = Run.objects.filter(pk__in=[run.pk for run in runs.values()])
    return {run.name: f"{run.state} {run.reason}".strip() for run in rows.order_by("id")}
