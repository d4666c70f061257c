"""A real worker behind the fence, on a real broker."""

import signal
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery

from scheduling.actions.audit import Operator
from scheduling.actions.trigger_run import trigger_run
from scheduling.clock import database_now
from scheduling.engine.publishing.publish import Publisher
from scheduling.engine.recover import fail_unstartable
from scheduling.engine.resolve import resolve_waiting
from scheduling.fence import HEADER, RETRIES_HEADER, Fence
from scheduling.models import Job, Run, WorkerProcess
from scheduling.states import RunState
from tests.claims import claim_all
from tests.cluster import Cluster, wait_for_state
from tests.conftest import JobMaker
from tests.servers import wait_for

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def publisher(cluster: Cluster) -> Publisher:
    app = Celery("publisher", broker=cluster.broker_url)
    app.conf.task_default_exchange_type = "direct"
    return Publisher(app)


def send(job: Job, publisher: Publisher, operator: Operator, times: int = 1) -> Run:
    """Open a run, claim it and publish its message, as often as wanted."""
    run = trigger_run(job, operator)
    claimed = claim_all(now=database_now())
    assert [found.pk for found in claimed] == [run.pk]
    for _ in range(times):
        publisher.publish(claimed, now=database_now())
    run.refresh_from_db()
    return run


def again(publisher: Publisher) -> None:
    """Do what the beat does when a retry falls due."""
    wait_for(
        lambda: resolve_waiting("real", now=database_now()), seconds=20, what="the retry is due"
    )
    publisher.publish(claim_all(now=database_now()), now=database_now())


def test_a_message_delivered_twice_runs_once(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    cluster.worker()
    job = make_job(task="tests.task", params={"path": str(seen), "n": 1})
    run = send(job, publisher, operator, times=2)
    assert wait_for_state(run, RunState.DONE).result == {"n": 1}
    follower = send(make_job("next"), publisher, operator)
    wait_for_state(follower, RunState.DONE)
    assert seen.read_text() == "ran\n"


def test_a_flood_of_duplicates_does_not_stall_a_worker_of_two(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    first = send(make_job(queue="real.shared"), publisher, operator, times=300)
    second = send(make_job("next", queue="real.shared"), publisher, operator, times=5)
    wait_for_state(first, RunState.DONE)
    assert wait_for_state(second, RunState.DONE).attempts.count() == 1


def test_a_message_without_our_header_runs_as_plain_celery(
    cluster: Cluster, publisher: Publisher, tmp_path: Path
) -> None:
    cluster.worker()
    seen = tmp_path / "seen"
    publisher.app.send_task("tests.task", kwargs={"path": str(seen)}, queue="real.default")
    wait_for(seen.exists, seconds=20, what="the plain task ran")
    assert Run.objects.count() == 0


def test_a_message_for_a_run_that_nobody_claimed_is_refused(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    cluster.worker("--loglevel", "INFO")
    seen = tmp_path / "seen"
    run = trigger_run(make_job(params={"path": str(seen)}, queue="real.default"), operator)
    publisher.app.send_task(
        "tests.task",
        kwargs={"path": str(seen)},
        queue="real.default",
        headers={HEADER: str(Fence(run.pk, 1))},
    )
    # Until then the worker drops the true message too, as the second of an attempt it has in hand.
    wait_for(
        lambda: "start_refused" in cluster.log.read_text(), seconds=20, what="the start is refused"
    )
    publisher.publish(claim_all(now=database_now()), now=database_now())
    wait_for_state(run, RunState.DONE)
    assert seen.read_text() == "ran\n"


def test_declared_retries_wait_in_the_ledger_and_see_their_count(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    job = make_job(task="tests.fails_until", params={"attempts": 3})
    run = send(job, publisher, operator)
    for attempt in (1, 2):
        wait_for_state(run, RunState.PENDING)
        assert (run.attempt, run.error_code) == (attempt, "ValueError")
        again(publisher)
    assert wait_for_state(run, RunState.DONE).result == 2
    assert [a.outcome for a in run.attempts.order_by("number")] == ["failed", "failed", "done"]


def test_an_explicit_retry_fails_with_its_own_error_when_used_up(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    run = send(make_job(task="tests.asks_for_retry"), publisher, operator)
    wait_for_state(run, RunState.PENDING)
    again(publisher)
    assert wait_for_state(run, RunState.FAILED).error_code == "KeyError"


def test_a_message_that_its_task_requeues_waits_in_the_ledger_as_a_retry(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    run = send(make_job(task="tests.requeues"), publisher, operator)
    wait_for_state(run, RunState.PENDING)
    again(publisher)
    assert wait_for_state(run, RunState.FAILED).error_code == "Reject"
    assert (run.attempt, run.retry_count) == (2, 2)


def test_an_attempt_over_its_time_ends_as_timeout(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    job = make_job(
        task="tests.sleeps", params={"seconds": 60}, timeout=timedelta(seconds=1), max_retries=0
    )
    run = send(job, publisher, operator)
    assert wait_for_state(run, RunState.TIMEOUT).error_code == "SoftTimeLimitExceeded"


def test_a_pool_process_that_dies_is_worth_one_more_attempt_even_without_retries(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    cluster.worker()
    job = make_job(
        task="tests.dies_once",
        params={"path": str(tmp_path / "died")},
    )
    run = send(job, publisher, operator)
    wait_for_state(run, RunState.PENDING)
    assert (run.reason, run.error_code) == ("process_lost", "ProcessLost")
    again(publisher)
    assert wait_for_state(run, RunState.DONE).result == "survived"


def test_no_secret_of_an_error_is_stored(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    run = send(make_job(task="tests.leaks"), publisher, operator)
    wait_for_state(run, RunState.FAILED)
    assert "hunter2" not in run.error
    assert "[REDACTED]" in run.error


def test_a_worker_serves_the_queue_of_a_job_made_after_its_start(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    run = send(make_job("made-later"), publisher, operator)
    wait_for_state(run, RunState.DONE)
    assert run.queue == "real.jobs.made-later"


def test_a_worker_that_stops_writes_what_finished_and_says_goodbye(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    worker = cluster.worker()
    seen, release = tmp_path / "seen", tmp_path / "release"
    job = make_job(task="tests.hold", params={"path": str(seen), "release": str(release)})
    run = send(job, publisher, operator)
    wait_for(seen.exists, seconds=20, what="the task has started")
    worker.terminate()
    release.touch()
    assert worker.wait(timeout=20) == 0
    run.refresh_from_db()
    assert run.state == RunState.DONE
    assert WorkerProcess.objects.get().stopped_at is not None


def test_a_message_revoked_through_celery_runs_all_the_same_and_stalls_nobody(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    job = make_job(queue="real.default")
    run = trigger_run(job, operator)
    claimed = claim_all(now=database_now())
    publisher.app.control.revoke(str(claimed[0].attempt_id))
    publisher.publish(claimed, now=database_now())
    wait_for_state(run, RunState.DONE)


def test_an_attempt_that_ignores_its_soft_limit_is_killed_at_the_hard_one(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    job = make_job(task="tests.ignores_soft_limit", timeout=None, max_retries=0)
    run = send(job, publisher, operator)
    assert wait_for_state(run, RunState.TIMEOUT).error_code == "TimeLimitExceeded"


def test_an_exception_that_cannot_be_read_still_ends_its_run(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    run = send(make_job(task="tests.raises_unreadable"), publisher, operator)
    assert wait_for_state(run, RunState.FAILED).error_code


def test_no_text_of_an_error_becomes_its_code(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    run = send(make_job(task="tests.leaks_in_code"), publisher, operator)
    assert wait_for_state(run, RunState.FAILED).error_code == "LeakyError"


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools_are_fenced_too(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, pool: str
) -> None:
    cluster.worker("--pool", pool)
    anyone = {"queue": "real.default", "timeout": None}
    run = send(make_job(**anyone), publisher, operator, times=3)
    wait_for_state(run, RunState.DONE)
    failing = make_job("fails", task="tests.leaks", **anyone)
    wait_for_state(send(failing, publisher, operator), RunState.FAILED)
    assert run.attempts.count() == 1
    assert not WorkerProcess.objects.get().can_stop


@pytest.mark.parametrize(
    "headers",
    [
        {RETRIES_HEADER: "abc"},
        {"timelimit": "abc"},
        {"stamped_headers": 5},
        {"id": ["x"]},
    ],
)
def test_a_message_that_cannot_be_read_does_not_take_the_worker_along(
    cluster: Cluster,
    publisher: Publisher,
    make_job: JobMaker,
    operator: Operator,
    headers: dict[str, object],
) -> None:
    worker = cluster.worker()
    odd = {HEADER: str(Fence(uuid4(), 1)), **headers}
    with publisher.app.producer_or_acquire() as producer:
        producer.publish(
            ([], {}, {}),
            routing_key="real.default",
            headers={"task": "tests.task", "id": "1", "lang": "py", **odd},
            serializer="json",
        )
    run = send(make_job(queue="real.default"), publisher, operator)
    wait_for_state(run, RunState.DONE)
    assert worker.poll() is None


def test_what_was_taken_ahead_of_a_long_task_goes_back_uncharged(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    cluster.worker("--concurrency", "1")
    short = make_job("short", queue="real.default", max_parallel=200)
    ahead = [trigger_run(short, operator) for _ in range(40)]
    seen, release = tmp_path / "seen", tmp_path / "release"
    params = {"path": str(seen), "release": str(release)}
    long = trigger_run(
        make_job("long", task="tests.hold", params=params, queue="real.default"), operator
    )
    behind = [trigger_run(short, operator) for _ in range(10)]
    publisher.publish(claim_all(now=database_now()), now=database_now())
    wait_for_state(long, RunState.RUNNING)
    given_back = Run.objects.filter(pk__in=[run.pk for run in behind], state=RunState.READY)
    taken = Run.objects.filter(pk__in=[run.pk for run in behind], state=RunState.RUNNING)
    wait_for(given_back.exists, seconds=20, what="what cannot start here is given back")
    wait_for(lambda: not taken.exists(), seconds=20, what="nothing waits behind the long task")
    assert set(given_back.values_list("reason", "retry_count")) == {("worker_busy", 0)}
    release.touch()
    wait_for_state(long, RunState.DONE)
    wait_for_state(ahead[-1], RunState.DONE)


def test_what_a_stopped_worker_had_not_begun_goes_back_at_once(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator, tmp_path: Path
) -> None:
    worker = cluster.worker("--concurrency", "1", "--prefetch-multiplier", "4")
    seen, release = tmp_path / "seen", tmp_path / "release"
    params = {"path": str(seen), "release": str(release)}
    held = send(
        make_job("held", task="tests.hold", params=params, queue="real.default"),
        publisher,
        operator,
    )
    wait_for(seen.exists, seconds=20, what="the task has started")
    runs = [
        send(make_job(f"next-{n}", queue="real.default"), publisher, operator) for n in range(3)
    ]
    worker.send_signal(signal.SIGTERM)
    for run in runs:
        assert wait_for_state(run, RunState.READY).reason == "worker_stopped"
    release.touch()
    assert worker.wait(timeout=20) == 0
    wait_for_state(held, RunState.DONE)


def test_a_task_that_no_worker_knows_says_so_and_fails_after_a_grace(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    run = send(make_job(task="no.such.task", queue="real.default"), publisher, operator)

    def told() -> bool:
        run.refresh_from_db()
        return "no.such.task" in run.error

    wait_for(told, seconds=20, what="the run says why it does not start")
    now = database_now()
    assert fail_unstartable("real", now=now) == 0
    assert fail_unstartable("real", now=now + timedelta(seconds=61)) == 1
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.FAILED, "UnknownTask")


def test_a_huge_exception_leaves_the_worker_and_its_neighbours_alone(
    cluster: Cluster, publisher: Publisher, make_job: JobMaker, operator: Operator
) -> None:
    cluster.worker()
    huge = make_job("huge", task="tests.raises_huge", queue="real.default", max_retries=0)
    run = send(huge, publisher, operator)
    assert wait_for_state(run, RunState.FAILED, seconds=60).error_code == "ValueError"
    assert not WorkerProcess.objects.filter(lost_at__isnull=False).exists()
