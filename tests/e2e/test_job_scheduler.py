"""The integration tests that seed 004 names for its Phase 9, on real workers.

Where a wait is minutes long the clock is moved: the test then does a beat's turn at a later time.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from django.test import Client

from scheduling.clock import database_now
from scheduling.engine.publishing.publish import Publisher
from scheduling.engine.resolve import pass_on_ends, resolve_waiting
from scheduling.models import Attempt, Run
from scheduling.states import RunState
from tests.claims import claim_ready
from tests.cluster import Cluster, wait_for_state
from tests.servers import Valkey, wait_for

BASE = "/api/offices/hq"
FAILS_TWICE = {"task": "tests.fails_by_count", "params": {"failures": 2}}


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path, valkey_server: Valkey) -> Iterator[Cluster]:
    del transactional_db
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    made = Cluster(tmp_path, valkey_server.url)
    yield made
    made.stop()


@pytest.fixture
def client(caller: Any, cluster: Cluster) -> Client:
    """Return a client of the API, an office with three slots, a worker and no beat."""
    cluster.worker("--concurrency", "4")
    admin: Client = caller("admin")
    assert call(admin, "POST", "/api/offices", office_id="hq").status_code == 201
    return admin


def call(client: Client, method: str, path: str, **body: Any) -> Any:
    return client.generic(method, path, json.dumps(body), content_type="application/json")


def submit(client: Client, *jobs: dict[str, Any]) -> dict[str, Run]:
    """Submit work, and return the runs by their ids in it."""
    answer = call(client, "POST", f"{BASE}/jobs", jobs=list(jobs))
    assert answer.status_code in {200, 201, 202}, answer.content
    return {key: Run.objects.get(pk=run) for key, run in answer.json()["jobs"].items()}


def job(key: str, *depends_on: str, **fields: Any) -> dict[str, Any]:
    plain = {"task": "tests.task", "params": {}}
    return {**plain, "id": key, "depends_on": list(depends_on), **fields}


class Beat:
    """Does what a beat does with runs, at a time that the test says."""

    def __init__(self, broker_url: str) -> None:
        self._publisher = Publisher(Celery("beat", broker=broker_url))
        self._publisher.app.conf.task_default_exchange_type = "direct"

    def turn(self, at: datetime | None = None) -> None:
        now = at or database_now()
        pass_on_ends("real", now=now)
        resolve_waiting("real", now=now)
        self._publisher.publish(claim_ready("real", now=now), now=now)


@pytest.fixture
def beat(cluster: Cluster) -> Beat:
    return Beat(cluster.broker_url)


def until(runs: dict[str, Run], beat: Beat, state: str = RunState.DONE) -> None:
    """Turn the beat until all the runs are in a state."""

    def reached() -> bool:
        beat.turn()
        found = Run.objects.filter(pk__in=[run.pk for run in runs.values()])
        return set(found.values_list("state", flat=True)) == {state}

    wait_for(reached, seconds=40, what=f"all are {state}")


def times(run: Run) -> tuple[datetime, datetime]:
    attempt = run.attempts.get()
    assert attempt.finished_at is not None
    return attempt.started_at, attempt.finished_at


def most_at_once(runs: dict[str, Run]) -> int:
    attempts = Attempt.objects.filter(run__in=runs.values())
    edges = sorted(
        edge
        for attempt in attempts
        for edge in ((attempt.started_at, 1), (attempt.finished_at or attempt.started_at, -1))
    )
    running = most = 0
    for _, change in edges:
        running += change
        most = max(most, running)
    return most


def test_dependency_order(client: Client, beat: Beat) -> None:
    runs = submit(client, job("c", "a", "b"), job("b", "a"), job("a"), job("d", "c"))
    until(runs, beat)
    spans = {key: times(run) for key, run in runs.items()}
    for earlier, later in (("a", "b"), ("b", "c"), ("c", "d")):
        assert spans[earlier][1] <= spans[later][0]


def test_parallel_limit(client: Client, beat: Beat) -> None:
    sleeps = {"task": "tests.sleeps", "params": {"seconds": 0.3}}
    runs = submit(client, *(job(f"{number}", **sleeps) for number in range(9)))
    until(runs, beat)
    assert most_at_once(runs) == 3


def test_timeout(client: Client, beat: Beat) -> None:
    endless = {"task": "tests.sleeps", "params": {"seconds": 600}}
    runs = submit(client, job("a", **endless, timeout_ms=1000, max_retries=0), job("b", "a"))
    beat.turn()
    late = wait_for_state(runs["a"], RunState.TIMEOUT)
    assert late.error_code == "SoftTimeLimitExceeded"
    beat.turn()
    fallen = wait_for_state(runs["b"], RunState.CANCELLED)
    assert fallen.reason == f"dependency:{late.pk}"


def fails_and_waits(run: Run, attempt: int, *, seconds: float, beat: Beat) -> None:
    """Wait until an attempt has failed; the next one is due so many seconds later, not before."""
    failed = Attempt.objects.filter(run=run, number=attempt, outcome="failed")
    wait_for(failed.exists, seconds=20, what=f"attempt {attempt} has failed")
    run.refresh_from_db()
    failed_at = failed.get().finished_at
    assert failed_at is not None
    assert run.next_attempt_at == failed_at + timedelta(seconds=seconds)
    beat.turn(run.next_attempt_at - timedelta(seconds=0.1))
    run.refresh_from_db()
    assert (run.state, run.attempt) == (RunState.PENDING, attempt)
    beat.turn(run.next_attempt_at)


def test_retry_policy_exponential_backoff(client: Client, beat: Beat) -> None:
    """Two retries, after 60 s and after 120 s; then it is done."""
    run = submit(client, job("a", **FAILS_TWICE))["a"]
    beat.turn()
    fails_and_waits(run, 1, seconds=60, beat=beat)
    fails_and_waits(run, 2, seconds=120, beat=beat)
    done = wait_for_state(run, RunState.DONE)
    assert (done.attempt, done.retry_count) == (3, 2)


@pytest.mark.parametrize(
    ("code", "tried_again"),
    [
        ("SESSION_CRASH", True),
        ("NETWORK_ERROR", True),
        ("GIT_CONFLICT", False),
        ("PERMISSION_DENIED", False),
    ],
)
def test_failures_worth_a_retry_and_permanent_ones(
    client: Client, beat: Beat, *, code: str, tried_again: bool
) -> None:
    failing = {"task": "tests.fails_with_code", "params": {"code": code}}
    run = submit(client, job("a", **failing))["a"]
    beat.turn()
    ended = wait_for_state(run, RunState.PENDING if tried_again else RunState.FAILED)
    assert ended.error_code == code


def test_cycle_detection(client: Client) -> None:
    ring = [job("a", "c"), job("b", "a"), job("c", "b"), job("d")]
    answer = call(client, "POST", f"{BASE}/jobs", jobs=ring)
    assert (answer.status_code, answer.json()["code"]) == (422, "dependency_cycle")
    assert all(key in answer.json()["message"] for key in ("a", "b", "c"))
    assert not Run.objects.exists()


def test_cancel(client: Client, beat: Beat) -> None:
    endless = {"task": "tests.sleeps", "params": {"seconds": 600}}
    runs = submit(client, job("a", **endless), job("b", "a"))
    beat.turn()
    wait_for_state(runs["a"], RunState.RUNNING)
    answer = call(client, "POST", f"{BASE}/jobs/{runs['a'].pk}/cancel")
    assert answer.json()["status"] == "stopping"
    cancelled = wait_for_state(runs["a"], RunState.CANCELLED)
    assert cancelled.attempts.get().gone_at is not None
    beat.turn()
    wait_for_state(runs["b"], RunState.CANCELLED)


def test_priority_order(client: Client, beat: Beat) -> None:
    call(client, "PATCH", f"{BASE}/scheduler/config", max_concurrent_jobs=1)
    given = [5, 1, 3, 1, 2]
    jobs = [job(f"{place}", priority=priority) for place, priority in enumerate(given)]
    runs = submit(client, *jobs)
    until(runs, beat)
    in_order = sorted(runs.values(), key=lambda run: times(run)[0])
    assert [run.name for run in in_order] == ["1", "3", "4", "2", "0"]


def test_worker_restart(client: Client, beat: Beat, cluster: Cluster) -> None:
    """A worker that is killed loses nothing: its work is done by the next one."""
    sleeps = {"task": "tests.sleeps", "params": {"seconds": 2}}
    runs = submit(client, *(job(f"{number}", **sleeps) for number in range(3)), job("z", "0"))
    beat.turn()
    wait_for_state(runs["0"], RunState.RUNNING)
    cluster.kill(cluster.processes[0])
    cluster.worker("--concurrency", "4")
    cluster.beat()
    for run in runs.values():
        wait_for_state(run, RunState.DONE, seconds=60)
    assert {attempt.outcome for attempt in Attempt.objects.all()} == {"lost", "done"}


def test_the_whole_way_from_submission_to_done(client: Client, beat: Beat) -> None:
    """Submit, see the order, keep the limit, retry after 60 and 120 s, be done."""
    sleeps = {"task": "tests.sleeps", "params": {"seconds": 0.3}}
    jobs = [
        job("design", **sleeps, role="Architect"),
        *(job(f"build-{n}", "design", **sleeps) for n in range(4)),
        job("check", *(f"build-{n}" for n in range(4)), **FAILS_TWICE, role="QA"),
        job("ship", "check", role="DevOps"),
    ]
    answer = call(client, "POST", f"{BASE}/jobs", jobs=jobs).json()
    builds = [f"build-{n}" for n in range(4)]
    assert answer["execution_order"] == [["design"], builds, ["check"], ["ship"]]
    runs = {key: Run.objects.get(pk=run) for key, run in answer["jobs"].items()}
    until({key: run for key, run in runs.items() if key.startswith("build")}, beat)
    assert most_at_once(runs) == 3
    beat.turn()
    fails_and_waits(runs["check"], 1, seconds=60, beat=beat)
    fails_and_waits(runs["check"], 2, seconds=120, beat=beat)
    until(runs, beat)
    stats = client.get(f"{BASE}/scheduler/stats").json()
    assert (stats["done"], stats["processing"], stats["failed"]) == (7, 0, 0)
