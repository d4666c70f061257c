"""Start-up runs: once per deployment, when somebody serves the queue."""

from scheduling.actions.audit import Operator
from scheduling.actions.pause_job import pause_job
from scheduling.clock import database_now
from scheduling.engine.startup import StartupRuns
from scheduling.models import Run, WorkerProcess
from scheduling.states import Trigger
from tests.conftest import JobMaker


def a_worker(*queues: str) -> WorkerProcess:
    return WorkerProcess.objects.create(
        scope="real", hostname="w", pid=1, pool="prefork", concurrency=1, can_stop=True,
        queues=list(queues), started_at=database_now(),
    )  # fmt: skip


def open_due(deployment: str, *, scope: str = "real") -> int:
    """Look as a beat does that has just started."""
    return StartupRuns(scope, deployment).open_due(now=database_now(), monotonic=0.0)


def test_a_job_runs_once_per_deployment(make_job: JobMaker) -> None:
    job = make_job(run_on_startup=True)
    make_job("other")
    a_worker(job.queue)
    assert [open_due("one"), open_due("one"), open_due("two")] == [1, 0, 1]
    assert set(Run.objects.values_list("job_id", "trigger")) == {(job.pk, Trigger.STARTUP)}


def test_it_waits_for_a_worker_of_its_queue(make_job: JobMaker) -> None:
    job = make_job(run_on_startup=True)
    worker = a_worker("real.somewhere.else")
    assert open_due("one") == 0
    WorkerProcess.objects.filter(pk=worker.pk).update(queues=[job.queue])
    assert open_due("one") == 1


def test_without_a_name_there_is_no_deployment(make_job: JobMaker) -> None:
    a_worker(make_job(run_on_startup=True).queue)
    assert open_due("") == 0


def test_a_paused_job_is_left_alone(make_job: JobMaker, operator: Operator) -> None:
    job = make_job(run_on_startup=True)
    a_worker(job.queue)
    pause_job(job, operator)
    assert open_due("one") == 0


def test_another_scope_is_another_world(make_job: JobMaker) -> None:
    a_worker(make_job(run_on_startup=True).queue)
    assert open_due("one", scope="mock") == 0


def test_two_beats_at_once_open_one_run(make_job: JobMaker) -> None:
    job = make_job(run_on_startup=True)
    a_worker(job.queue)
    first = StartupRuns("real", "one")
    assert first._open(job, first._key(job), database_now())  # noqa: SLF001 the race itself
    assert not first._open(job, first._key(job), database_now())  # noqa: SLF001
    assert Run.objects.count() == 1
