"""Tasks that declare it: one message stands for many runs, and each is accounted for by itself."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.trigger_run import trigger_run
from scheduling.clock import database_now
from scheduling.engine.publishing.batch import pack, runs_of
from scheduling.engine.publishing.publish import Publisher
from scheduling.errors import FenceRequired
from scheduling.fence import BATCH_TASK
from scheduling.models import Attempt, Job, Run
from scheduling.states import RunState
from scheduling.tasks import batch
from tests.claims import claim_all
from tests.cluster import Cluster, wait_for_state
from tests.conftest import JobMaker
from tests.servers import wait_for

pytestmark = pytest.mark.usefixtures("transactional_db")
QUEUE = "real.short"
SECOND = timedelta(seconds=1)


def as_declared() -> None:
    """Stand for the task in the sender, which has to know of it what it declares."""


@pytest.fixture
def publisher(cluster: Cluster) -> Publisher:
    with redis.Redis.from_url(cluster.broker_url) as client:
        client.flushall()
    app = Celery("publisher", broker=cluster.broker_url)
    app.conf.task_default_exchange_type = "direct"
    app.task(name="tests.short", runs_per_message=10)(as_declared)
    return Publisher(app)


@pytest.fixture
def open_runs(make_job: JobMaker, operator: Operator, tmp_path: Path) -> Any:
    job = make_job(task="tests.short", queue=QUEUE, max_parallel=1000, max_retries=0)

    def open_many(*given: dict[str, Any]) -> list[Run]:
        path = str(tmp_path / "seen")
        return [
            trigger_run(job, operator, params={"path": path, "number": n, **values})
            for n, values in enumerate(given)
        ]

    return open_many


def publish(publisher: Publisher) -> int:
    return publisher.publish(claim_all(now=database_now()), now=database_now())


def waiting(cluster: Cluster) -> int:
    with redis.Redis.from_url(cluster.broker_url) as client:
        found = client.llen(QUEUE)
    assert isinstance(found, int)
    return found


def times_run(tmp_path: Path, number: int) -> int:
    return (tmp_path / "seen").read_text().split().count(str(number))


def test_many_runs_travel_in_few_messages_and_each_has_its_end(
    cluster: Cluster, publisher: Publisher, open_runs: Any
) -> None:
    runs = open_runs(*[{}] * 25)
    assert publish(publisher) == 25
    assert waiting(cluster) == 3
    cluster.worker("-Q", QUEUE)
    for number, run in enumerate(runs):
        assert wait_for_state(run, RunState.DONE).result == number
    assert Attempt.objects.filter(outcome="done").count() == 25
    wait_for(lambda: not waiting(cluster), seconds=5, what="the messages are acknowledged")


def test_one_that_fails_harms_no_other(
    cluster: Cluster, publisher: Publisher, open_runs: Any
) -> None:
    runs = open_runs({}, {"fail": True}, {})
    publish(publisher)
    cluster.worker("-Q", QUEUE)
    assert wait_for_state(runs[1], RunState.FAILED).error.startswith("ValueError: 1 was told to")
    assert [wait_for_state(run, RunState.DONE).result for run in (runs[0], runs[2])] == [0, 2]


def test_when_the_process_dies_all_go_back_and_then_alone(
    cluster: Cluster, publisher: Publisher, open_runs: Any
) -> None:
    runs = open_runs({}, {"die": True}, {})
    publish(publisher)
    cluster.worker("-Q", QUEUE)
    for run in runs:
        assert wait_for_state(run, RunState.READY).reason == "batch_ended"
    assert publish(publisher) == 3
    for run in runs:
        wait_for_state(run, RunState.DONE)
        assert (run.attempt, run.retry_count, run.lost_count) == (2, 0, 0)


def test_one_that_meets_its_soft_limit_harms_no_other(
    cluster: Cluster, publisher: Publisher, open_runs: Any
) -> None:
    Job.objects.update(timeout=2 * SECOND)
    runs = open_runs({}, {"seconds": 60}, {"seconds": 0.2}, {})
    publish(publisher)
    cluster.worker("-Q", QUEUE)
    stopped = wait_for_state(runs[1], RunState.TIMEOUT)
    assert (stopped.reason, stopped.attempt) == ("SoftTimeLimitExceeded", 1)
    for run in (runs[0], runs[2], runs[3]):
        ended = wait_for_state(run, RunState.DONE, RunState.TIMEOUT, RunState.READY)
        assert (ended.state, ended.attempt) == (RunState.DONE, 1)


def test_the_deadline_counts_in_what_each_of_a_message_may_take(
    cluster: Cluster, publisher: Publisher, open_runs: Any
) -> None:
    Job.objects.update(timeout=100 * SECOND)
    runs = open_runs({}, {}, {"seconds": 60})
    publish(publisher)
    cluster.worker("-Q", QUEUE)
    allowed = [
        run.deadline_at - run.started_at
        for run in (wait_for_state(run, RunState.RUNNING) for run in runs)
        if run.deadline_at and run.started_at
    ]
    assert allowed == [330 * SECOND] * 3


def test_one_that_ignores_its_soft_limit_is_charged_to_no_other(
    cluster: Cluster, publisher: Publisher, open_runs: Any
) -> None:
    Job.objects.update(timeout=SECOND / 2)
    runs = open_runs({}, {"seconds": 60, "stubborn": True}, {})
    publish(publisher)
    cluster.worker("-Q", QUEUE)
    for run in runs:
        assert wait_for_state(run, RunState.READY, seconds=60).reason == "batch_ended"
        assert (run.retry_count, run.lost_count) == (0, 0)


def test_only_runs_with_the_same_timeout_travel_together(
    publisher: Publisher, open_runs: Any
) -> None:
    open_runs({}, {}, {}, {})
    runs = claim_all(now=database_now())
    for run in runs[1::2]:
        run.timeout = SECOND
    one, other = pack(publisher.app, runs)
    assert [runs_of(one), runs_of(other)] == [(runs[0], runs[2]), (runs[1], runs[3])]


def test_a_run_that_was_cancelled_meanwhile_is_left_out(
    cluster: Cluster, publisher: Publisher, open_runs: Any, operator: Operator, tmp_path: Path
) -> None:
    runs = open_runs({}, {}, {})
    publish(publisher)
    cancel_runs([runs[1].pk], operator)
    cluster.worker("-Q", QUEUE)
    for run in (runs[0], runs[2]):
        wait_for_state(run, RunState.DONE)
    assert times_run(tmp_path, 1) == 0


def test_a_second_message_of_the_same_batch_starts_nothing(
    cluster: Cluster, publisher: Publisher, open_runs: Any, tmp_path: Path
) -> None:
    runs = open_runs({}, {})
    claimed = claim_all(now=database_now())
    for _ in range(3):
        publisher.publish(claimed, now=database_now())
    cluster.worker("-Q", QUEUE)
    for run in runs:
        wait_for_state(run, RunState.DONE)
    wait_for(lambda: not waiting(cluster), seconds=10, what="all messages are taken")
    assert [times_run(tmp_path, number) for number in (0, 1)] == [1, 1]


def test_a_worker_without_the_fence_refuses_to_run_a_batch() -> None:
    assert batch.name == BATCH_TASK
    with pytest.raises(FenceRequired, match="stands for several runs"):
        batch(task="tests.short", runs=[])
