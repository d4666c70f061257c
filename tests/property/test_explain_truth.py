"""What is named as holding a run or a job back does so, and lets it go once it is opened."""

from datetime import datetime, timedelta

import hypothesis
import pytest
from django.db import transaction
from hypothesis import strategies as st

from scheduling.actions.offices.change_waiting import change_waiting
from scheduling.actions.pause_job import pause_job
from scheduling.actions.reset_breaker import reset_breaker
from scheduling.actions.resume_job import resume_job
from scheduling.actions.trigger_run import trigger_run
from scheduling.clock import database_now
from scheduling.engine.plan import plan_due_jobs
from scheduling.explain.gate import Gate
from scheduling.explain.job import IDLE, explain_job
from scheduling.explain.run import explain_run
from scheduling.models import Job, JobStatus, Office, Run
from scheduling.models.office import OfficeState
from scheduling.models.run import RunQuerySet
from scheduling.states import HOLDING_SLOT, WAITING, RunState
from tests.conftest import JobMaker
from tests.offices import OPERATOR, begin, end, make_office, submit, turn, work

HOUR = timedelta(hours=1)
MOST_GATES = 60
ROLES = ("", "BE", "FE")
BELONGS_TO_THE_BEAT = ("beat", "message", "worker")

pytestmark = pytest.mark.django_db


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(
    limit=st.integers(1, 3),
    busy=st.lists(st.sampled_from(ROLES), max_size=3),
    ahead=st.lists(st.sampled_from(ROLES), max_size=3),
    role=st.sampled_from(ROLES),
    awaited=st.lists(st.sampled_from(ROLES), max_size=2),
    retries=st.booleans(),
    state=st.sampled_from([OfficeState.ACTIVE, OfficeState.PAUSED]),
)
def test_each_gate_of_an_offices_run_holds_it_back_until_it_is_opened(
    *, limit: int, busy: list[str], ahead: list[str], role: str, awaited: list[str],
    retries: bool, state: OfficeState,
) -> None:  # fmt: skip
    with transaction.atomic():
        office = make_office(max_concurrent=limit)
        _submit(office, "busy", busy)
        begin(*turn())
        _submit(office, "ahead", ahead)
        first = [work(f"first{n}", role=other) for n, other in enumerate(awaited)]
        wanted = work("wanted", *(other.key for other in first), role=role, priority=5)
        run = submit(office, *first, wanted)["wanted"]
        if retries:
            Run.objects.filter(pk=run.pk).update(
                state=RunState.PENDING, attempt=1, next_attempt_at=database_now() + HOUR
            )
        Office.objects.filter(pk=office.pk).update(state=state)
        _drive(run)
        transaction.set_rollback(True)


def _submit(office: Office, name: str, roles: list[str]) -> None:
    if roles:
        submit(office, *(work(f"{name}{n}", role=role) for n, role in enumerate(roles)))


def _drive(run: Run) -> None:
    """Open gate after gate until the run runs."""
    for _ in range(MOST_GATES):
        gate = explain_run(_fresh(run), now=database_now()).blocking
        if gate is None:
            assert _fresh(run).state == RunState.RUNNING
            return
        if gate.name not in BELONGS_TO_THE_BEAT:
            turn()
            assert _fresh(run).state in WAITING, f"{gate.name} did not hold it back"
        _open(gate, run)
    pytest.fail(f"still held back: {gate}")


def _open(gate: Gate, run: Run) -> None:
    match gate.name:
        case "dependency":
            (awaited,) = _named(gate, Run.objects.filter(dependents__run=run))
            _drive(awaited)
            _finish(awaited)
            assert str(awaited.pk) not in _says(run), "it was opened, and is still named"
        case "retry":
            Run.objects.filter(pk=run.pk).update(next_attempt_at=database_now())
        case "office":
            Office.objects.update(state=OfficeState.ACTIVE)
        case "job_slot" | "office_slot" | "role_slot":
            holder = _named(gate, Run.objects.holding_slot())[0]
            _finish(holder)
        case "order":
            change_waiting(_fresh(run), OPERATOR, priority=-1)
        case "beat":
            before = _fresh(run).state
            turn()
            # One that was only resolved now may find others ahead of it.
            may_be = {RunState.QUEUED} | ({RunState.READY} if before == RunState.PENDING else set())
            assert _fresh(run).state in may_be, "it was free to start, and did not"
        case "message" | "worker":
            begin(run)
        case other:
            pytest.fail(f"unknown gate {other}")


def _says(run: Run) -> str:
    gate = explain_run(_fresh(run), now=database_now()).blocking
    return gate.says if gate else ""


def _named(gate: Gate, runs: RunQuerySet) -> list[Run]:
    """Return those of the runs whose id the gate names; there must be one."""
    found = [run for run in runs.order_by("id") if str(run.pk) in gate.says]
    assert found, f"{gate.says!r} names none of them"
    return found[:1] if gate.name == "dependency" else found


def _finish(run: Run) -> None:
    assert _fresh(run).state in HOLDING_SLOT
    end(_fresh(run))


def _fresh(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


@hypothesis.settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    enabled=st.booleans(), paused=st.booleans(), tripped=st.booleans(), due=st.booleans()
)
def test_each_gate_of_a_job_holds_its_tick_back_until_it_is_opened(
    make_job: JobMaker, *, enabled: bool, paused: bool, tripped: bool, due: bool
) -> None:
    with transaction.atomic():
        job = make_job(every=3600)
        if paused:
            pause_job(job, OPERATOR, reason="maintenance")
        Job.objects.update(enabled=enabled)
        assert job.next_due_at is not None
        now = job.next_due_at if due else database_now()
        if tripped:
            JobStatus.objects.update(tripped_at=now, consecutive_errors=3)
        _drive_job(job, now)
        transaction.set_rollback(True)


def _drive_job(job: Job, now: datetime) -> None:
    """Open gate after gate until the job's tick has its run."""
    for _ in range(MOST_GATES):
        job.refresh_from_db()
        found = explain_job(job, now=now)
        gate = found.blocking
        assert gate is not None
        if found.state != IDLE:
            assert Run.objects.get().state == found.state == RunState.READY
            return
        if gate.name == "due":
            now = job.next_due_at or now
        elif gate.name == "beat":
            assert plan_due_jobs("real", now=now) == 1
        else:
            _open_of_job(gate, job, now)
    pytest.fail(f"still held back: {gate}")


def _open_of_job(gate: Gate, job: Job, now: datetime) -> None:
    with transaction.atomic():
        plan_due_jobs("real", now=now)
        assert not Run.objects.exists(), f"{gate.name} did not hold it back"
        transaction.set_rollback(True)
    match gate.name:
        case "enabled":
            Job.objects.update(enabled=True)
        case "paused":
            assert gate.says == "paused by tester: maintenance"
            resume_job(job, OPERATOR)
        case "breaker":
            reset_breaker(job, OPERATOR)
        case other:
            pytest.fail(f"unknown gate {other}")


def test_a_jobs_run_waits_for_the_jobs_slot(make_job: JobMaker) -> None:
    job = make_job(every=None)
    first, second = (trigger_run(job, OPERATOR) for _ in range(2))
    begin(*turn())
    explained = explain_run(_fresh(second), now=database_now())
    assert explained.blocking is not None
    assert explained.blocking.name == "job_slot"
    assert str(first.pk) in explained.blocking.says
    assert explain_job(job, now=database_now()).state == RunState.RUNNING
    _drive(second)
