"""Told to stop: by an operator, by the deadline, by the worker's own end. What is gone is gone."""

import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery

from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.extend_deadline import extend_deadline
from scheduling.actions.trigger_run import trigger_run
from scheduling.clock import database_now
from scheduling.engine.publishing.publish import Publisher
from scheduling.errors import NotPossible
from scheduling.models import Job, Run, WorkerProcess
from scheduling.states import RunState
from scheduling.worker import processes
from tests.claims import claim_all
from tests.cluster import Cluster, wait_for_state
from tests.conftest import JobMaker
from tests.servers import Valkey, wait_for


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path, valkey_server: Valkey) -> Iterator[Cluster]:
    del transactional_db
    made = Cluster(tmp_path, valkey_server.url)
    yield made
    made.stop()


@pytest.fixture
def publisher(cluster: Cluster) -> Publisher:
    app = Celery("publisher", broker=cluster.broker_url)
    app.conf.task_default_exchange_type = "direct"
    return Publisher(app)


def send(job: Job, publisher: Publisher, operator: Operator) -> Run:
    run = trigger_run(job, operator)
    publisher.publish(claim_all(now=database_now()), now=database_now())
    run.refresh_from_db()
    return run


def pids_in(seen: Path) -> list[int]:
    """Wait for the line with which a task tells its processes."""
    wait_for(lambda: seen.exists() and seen.read_text(), seconds=20, what="the task has started")
    pids = [int(pid) for pid in seen.read_text().split("\n")[0].split()]
    assert all(processes.identity(pid) for pid in pids)
    return pids


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if processes.identity(pid)]


def test_a_cancelled_run_that_ignores_sigterm_is_killed_with_all_it_started(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    cluster.worker()
    seen = tmp_path / "seen"
    run = send(make_job(task="tests.stubborn", params={"path": str(seen)}), publisher, operator)
    pids = pids_in(seen)
    wait_for_state(run, RunState.RUNNING)
    (told,) = cancel_runs([run.pk], operator, reason="wrong customer")
    assert told.state == RunState.STOPPING
    assert Run.objects.holding_slot().get() == run  # the slot is free only when it is gone
    wait_for_state(run, RunState.CANCELLED)
    assert not alive(pids)
    attempt = run.attempts.get()
    assert attempt.stop_requested_at is not None
    assert attempt.stop_delivered_at is not None
    assert attempt.gone_at is not None
    assert attempt.stop_requested_at <= attempt.stop_delivered_at <= attempt.gone_at
    assert (attempt.outcome, run.reason) == ("cancelled", "cancelled by tester: wrong customer")
    follower = send(make_job("next"), publisher, operator)
    wait_for_state(follower, RunState.DONE)  # the pool is whole again


def test_a_cancelled_run_may_clean_up(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    cluster.worker()
    seen = tmp_path / "seen"
    run = send(make_job(task="tests.tidy", params={"path": str(seen)}), publisher, operator)
    pids = pids_in(seen)
    cancel_runs([run.pk], operator)
    wait_for_state(run, RunState.CANCELLED)
    assert seen.read_text().endswith("cleaned up\n")
    assert not alive(pids)


@pytest.mark.parametrize("why", ["cancelled", "soft limit"])
def test_a_session_outside_is_told_before_the_process_is_stopped(
    cluster: Cluster,
    publisher: Publisher,
    make_job: JobMaker,
    operator: Operator,
    tmp_path: Path,
    why: str,
) -> None:
    cluster.worker()
    told, pid = tmp_path / "session", tmp_path / "pid"
    job = make_job(
        task="tests.drives_a_session",
        params={"path": str(told)},
        timeout=timedelta(seconds=3 if why == "soft limit" else 600),
        max_retries=0,
    )
    run = send(job, publisher, operator)
    wait_for(pid.exists, seconds=20, what="the task has started")
    if why == "cancelled":
        cancel_runs([run.pk], operator)
    wait_for_state(run, RunState.CANCELLED if why == "cancelled" else RunState.TIMEOUT)
    assert told.read_text() == "session ended, attempt 1, process there\n"


def test_a_hard_limit_ends_a_run_and_what_it_started(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    cluster.worker()
    seen = tmp_path / "seen"
    job = make_job(task="tests.stubborn", params={"path": str(seen)}, max_retries=0)
    run = send(job, publisher, operator)
    pids = pids_in(seen)
    wait_for_state(run, RunState.RUNNING)
    Run.objects.filter(pk=run.pk).update(deadline_at=database_now())  # its time is over
    wait_for_state(run, RunState.TIMEOUT)
    assert not alive(pids)
    assert run.error_code == "TimeLimitExceeded"
    assert run.attempts.get().gone_at is not None


def test_a_soft_limit_ends_what_the_task_started_too(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    cluster.worker()
    seen = tmp_path / "seen"
    job = make_job(
        task="tests.leaves_a_process",
        params={"path": str(seen)},
        timeout=timedelta(seconds=1),
        max_retries=0,
    )
    run = send(job, publisher, operator)
    _, child = pids_in(seen)
    wait_for_state(run, RunState.TIMEOUT)
    assert not alive([child])


def test_a_queued_run_is_cancelled_at_once_and_its_message_starts_nothing(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    job = make_job(task="tests.task", params={"path": str(seen)}, queue="real.default")
    run = send(job, publisher, operator)
    (told,) = cancel_runs([run.pk], operator)
    assert told.state == RunState.CANCELLED
    cluster.worker()
    wait_for_state(send(make_job("next", queue="real.default"), publisher, operator), "done")
    assert not seen.exists()


def test_a_worker_that_is_stopped_releases_what_does_not_finish_in_time(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    worker = cluster.worker(stop_seconds=1)
    seen = tmp_path / "seen"
    job = make_job(task="tests.stubborn", params={"path": str(seen)})
    run = send(job, publisher, operator)
    pids = pids_in(seen)
    wait_for_state(run, RunState.RUNNING)
    worker.send_signal(signal.SIGTERM)
    wait_for_state(run, RunState.READY)
    assert worker.wait(timeout=20) == 0
    assert not alive(pids)
    assert (run.reason, run.retry_count, run.lost_count) == ("worker_stopped", 0, 0)
    assert run.attempts.get().outcome == "released"
    assert job.status.consecutive_errors == 0


def test_a_worker_that_is_stopped_lets_what_is_short_finish(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    worker = cluster.worker(stop_seconds=20)
    seen, release = tmp_path / "seen", tmp_path / "release"
    params = {"path": str(seen), "release": str(release)}
    run = send(make_job(task="tests.hold", params=params), publisher, operator)
    wait_for(seen.exists, seconds=20, what="the task has started")
    worker.send_signal(signal.SIGTERM)
    release.touch()
    assert worker.wait(timeout=20) == 0
    wait_for_state(run, RunState.DONE)


def test_a_new_worker_ends_what_a_killed_one_left_behind(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    victim = cluster.worker()
    seen = tmp_path / "seen"
    send(make_job(task="tests.stubborn", params={"path": str(seen)}), publisher, operator)
    pids = pids_in(seen)
    cluster.kill(victim)
    wait_for(lambda: not alive(pids[:1]), seconds=5, what="the pool process dies with its worker")
    assert alive(pids[1:])
    cluster.worker()
    assert not alive(pids)
    assert WorkerProcess.objects.filter(lost_at__isnull=False).count() == 1


def test_a_worker_ends_an_attempt_that_was_given_away(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    cluster.worker()
    seen = tmp_path / "seen"
    run = send(make_job(task="tests.stubborn", params={"path": str(seen)}), publisher, operator)
    pids = pids_in(seen)
    wait_for_state(run, RunState.RUNNING)
    other = WorkerProcess.objects.create(
        scope="real", hostname="other", pid=1, pool="prefork", concurrency=1, can_stop=True,
        started_at=database_now(),
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(worker=other)
    wait_for(lambda: not alive(pids), seconds=20, what="its processes are gone")
    run.refresh_from_db()
    assert run.state == RunState.RUNNING  # it is the other worker's to end


def test_a_run_that_its_worker_knows_nothing_of_is_tried_again(
    cluster: Cluster, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    run = trigger_run(make_job(task="tests.task"), operator)
    claim_all(now=database_now())
    now, worker = database_now(), WorkerProcess.objects.get()
    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING, started_at=now, worker=worker)
    wait_for_state(run, RunState.PENDING)
    assert run.reason == "worker_lost"


def test_a_deadline_that_is_extended_moves_the_soft_limit_too(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    job = make_job(
        task="tests.sleeps",
        params={"seconds": 6},
        timeout=timedelta(seconds=4),
        max_retries=0,
    )
    run = send(job, publisher, operator)
    started = wait_for_state(run, RunState.RUNNING)
    assert started.started_at is not None
    extended = extend_deadline(run, operator, by=timedelta(seconds=10))
    assert extended.deadline_at == started.started_at + timedelta(seconds=4 + 30 + 10)
    wait_for_state(run, RunState.DONE)


def test_only_a_running_runs_deadline_is_extended(make_job: JobMaker, operator: Operator) -> None:
    run = trigger_run(make_job(), operator)
    with pytest.raises(NotPossible, match="is ready"):
        extend_deadline(run, operator, by=timedelta(seconds=10))
