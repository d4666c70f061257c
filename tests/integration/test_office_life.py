"""An office's work on real workers: in order, within its limits, from one run to the next."""

from datetime import datetime

import pytest
from celery import Celery

from scheduling.actions.offices import process_office
from scheduling.clock import database_now
from scheduling.engine.publishing.publish import Publisher
from scheduling.models import Attempt, Run, WorkerProcess
from scheduling.states import RunState
from tests.cluster import Cluster, wait_for_state
from tests.offices import OPERATOR, make_office, submit, turn, work
from tests.servers import wait_for

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def publisher(cluster: Cluster) -> Publisher:
    app = Celery("publisher", broker=cluster.broker_url)
    app.conf.task_default_exchange_type = "direct"
    return Publisher(app)


def most_at_once(runs: dict[str, Run]) -> int:
    """Count by the attempts' own times how many ran side by side."""
    changes: list[tuple[datetime, int]] = []
    for attempt in Attempt.objects.filter(run__in=[run.pk for run in runs.values()]):
        assert attempt.finished_at is not None
        changes += [(attempt.started_at, 1), (attempt.finished_at, -1)]
    level = most = 0
    for _, change in sorted(changes):
        level += change
        most = max(most, level)
    return most


def all_done(runs: dict[str, Run]) -> None:
    wait_for(lambda: not Run.objects.open().exists(), seconds=60, what="everything has ended")
    found = Run.objects.in_bulk([run.pk for run in runs.values()])
    assert {run.state for run in found.values()} == {RunState.DONE}


def test_work_runs_in_order_and_never_more_than_the_office_may(cluster: Cluster) -> None:
    cluster.beat()
    cluster.worker("--concurrency", "4")
    office = make_office(max_concurrent=2)
    wide = [work(f"w{number}", "first") for number in range(8)]
    runs = submit(office, work("first"), *wide, work("last", *(item.key for item in wide)))
    all_done(runs)
    assert most_at_once(runs) <= 2
    started = {run.name: run.started_at for run in Run.objects.all() if run.started_at}
    middle = [at for name, at in started.items() if name not in ("first", "last")]
    assert started["first"] < min(middle)
    assert started["last"] > max(middle)


def test_whoever_records_an_end_starts_what_it_unlocks_without_a_beat(
    cluster: Cluster, publisher: Publisher
) -> None:
    cluster.worker()
    runs = submit(make_office(), work("a"), work("b", "a"), work("c", "b"))
    wait_for_queue(cluster)
    publisher.publish(turn(), now=database_now())
    wait_for_state(runs["c"], RunState.DONE)


def test_a_freed_slot_goes_to_the_next_without_a_beat(
    cluster: Cluster, publisher: Publisher
) -> None:
    cluster.worker()
    runs = submit(make_office(max_concurrent=1), *(work(f"w{number}") for number in range(5)))
    wait_for_queue(cluster)
    [first] = turn()
    publisher.publish([first], now=database_now())
    all_done(runs)
    assert most_at_once(runs) == 1


def test_an_operator_starts_what_waits_without_a_beat(
    cluster: Cluster, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_office, "current_app", publisher.app)
    cluster.worker()
    office = make_office(max_concurrent=1)
    runs = submit(office, work("a"), work("b", "a"))
    wait_for_queue(cluster)
    assert process_office.process_office(office, OPERATOR) == 1
    all_done(runs)


def test_a_failure_cancels_who_waits_without_a_beat(cluster: Cluster, publisher: Publisher) -> None:
    cluster.worker()
    runs = submit(make_office(), work("a", task="tests.leaks", max_retries=0), work("b", "a"))
    wait_for_queue(cluster)
    publisher.publish(turn(), now=database_now())
    fallen = wait_for_state(runs["b"], RunState.CANCELLED)
    assert fallen.reason == f"dependency:{runs['a'].pk}"


def wait_for_queue(cluster: Cluster) -> None:
    """A worker finds the queue of a new office within its next beat."""
    wait_for(
        lambda: "real.offices.hq" in served(), seconds=20, what=f"it is served, see {cluster.log}"
    )


def served() -> set[str]:
    return {queue for row in WorkerProcess.objects.live() for queue in row.queues}
