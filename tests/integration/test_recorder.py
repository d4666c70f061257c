"""The recorder answers every item, whatever one of them is."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from queue import Queue
from uuid import UUID, uuid4

import pytest
from django.db import connection

from scheduling.clock import database_now
from scheduling.ending import Ending
from scheduling.engine.plan import plan_due_jobs
from scheduling.fence import Fence
from scheduling.models import Run, WorkerProcess
from scheduling.states import Outcome, RunState
from scheduling.transitions import Terms
from scheduling.worker.recorder import Recorder
from tests.claims import claim_all
from tests.conftest import JobMaker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    worker = WorkerProcess.objects.create(
        scope="real", hostname="w", pid=1, pool="prefork", concurrency=1, can_stop=True,
        started_at=database_now(),
    )  # fmt: skip
    made = Recorder(lambda: UUID(str(worker.pk)))
    yield made
    made.stop(10)


def claimed_runs(make_job: JobMaker, number: int) -> list[Run]:
    for n in range(number):
        make_job(f"job-{n}")
    now = database_now() + timedelta(seconds=11)
    plan_due_jobs("real", now=now)
    return claim_all(now=now)


def _note(answers: "Queue[tuple[Fence, bool]]", fence: Fence, granted: bool) -> None:  # noqa: FBT001
    answers.put((fence, granted))


def test_what_arrives_together_is_answered_in_one_go(
    recorder: Recorder, make_job: JobMaker
) -> None:
    answers: Queue[tuple[Fence, bool]] = Queue()
    fences = [Fence(run.pk, 1) for run in claimed_runs(make_job, 3)] + [Fence(uuid4(), 1)]
    for fence in fences:
        recorder.ask_start(fence, Terms(), partial(_note, answers, fence))
    recorder.start()
    got = dict(answers.get(timeout=10) for _ in fences)
    assert [got[fence] for fence in fences] == [True, True, True, False]


def test_an_end_that_cannot_be_written_fails_its_own_run_only(
    recorder: Recorder, make_job: JobMaker
) -> None:
    answers: Queue[bool] = Queue()
    runs = claimed_runs(make_job, 3)
    recorder.start()
    for run in runs:
        recorder.ask_start(Fence(run.pk, 1), Terms(), answers.put)
    assert all(answers.get(timeout=10) for _ in runs)
    unwritable = object()
    for run, result in zip(runs, (1, unwritable, 3), strict=True):
        ending = Ending(fence=Fence(run.pk, 1), outcome=Outcome.DONE, result=result)
        recorder.record_end(ending, answers.put)
    assert all(answers.get(timeout=10) for _ in runs)
    found = {run.pk: run for run in Run.objects.all()}
    assert [found[run.pk].state for run in runs] == [
        RunState.DONE,
        RunState.FAILED,
        RunState.DONE,
    ]
    assert found[runs[1].pk].error_code == "EndNotRecordable"


def test_the_end_of_a_run_that_cannot_be_read_ends_it_and_no_other(
    recorder: Recorder, make_job: JobMaker
) -> None:
    answers: Queue[bool] = Queue()
    bad, good = claimed_runs(make_job, 2)
    recorder.start()
    for run in (bad, good):
        recorder.ask_start(Fence(run.pk, 1), Terms(), answers.put)
    assert all(answers.get(timeout=10) for _ in range(2))
    with connection.cursor() as cursor:
        sqlite = connection.vendor == "sqlite"
        value = "CAST(X'80FF' AS TEXT)" if sqlite else "interval '100000000 years'"
        column = "error_code" if sqlite else "timeout"
        key = bad.pk.hex if sqlite else bad.pk
        cursor.execute(f"UPDATE scheduling_run SET {column} = {value} WHERE id = %s", [key])  # noqa: S608
    for run in (bad, good):
        ending = Ending(fence=Fence(run.pk, 1), outcome=Outcome.DONE, result=1)
        recorder.record_end(ending, answers.put)
    assert sorted(answers.get(timeout=10) for _ in range(2)) == [False, True]
    verdicts = Run.objects.values_list("state", "reason")
    assert verdicts.get(pk=bad.pk) == (RunState.FAILED, "unreadable")
    assert verdicts.get(pk=good.pk) == (RunState.DONE, "")
