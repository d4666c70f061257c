"""Offices keep their limits, and their work its order, whatever worker is killed (SPEC B2, B3)."""

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path

import pytest
import redis

from scheduling.models import Attempt, Run, RunDependency
from scheduling.states import RunState
from tests.cluster import Cluster
from tests.offices import make_office, submit, work
from tests.servers import Valkey, wait_for

OFFICES, LAYERS, WIDTH = 4, 5, 6
LIMIT = 2
KILLS = 3
ROLES = ("FE", "BE", "QA")  # each at most one at a time


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path, valkey_server: Valkey) -> Iterator[Cluster]:
    del transactional_db
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    made = Cluster(tmp_path, valkey_server.url)
    yield made
    made.stop()


def submit_layers(office_id: str) -> None:
    """Submit layers of short work, each run waiting for two of the layer before."""
    draw = random.Random(office_id)  # noqa: S311 the same work at each run
    layers = [[f"{layer}.{place}" for place in range(WIDTH)] for layer in range(LAYERS)]
    works = [
        work(
            key,
            *(draw.sample(layers[number - 1], 2) if number else ()),
            task="tests.sleeps",
            params={"seconds": 0.05},
            role=ROLES[place % len(ROLES)],
        )
        for number, layer in enumerate(layers)
        for place, key in enumerate(layer)
    ]
    submit(make_office(office_id, max_concurrent=LIMIT), *works)


def most_at_once() -> dict[tuple[int | None, str], int]:
    """Return by office, and by role in it, the most that ever ran, by the attempts' own times."""
    changes: dict[tuple[int | None, str], list[tuple[datetime, int]]] = defaultdict(list)
    for attempt in Attempt.objects.select_related("run"):
        assert attempt.finished_at is not None
        for key in ((attempt.run.office_id, ""), (attempt.run.office_id, attempt.run.role)):
            changes[key] += [(attempt.started_at, 1), (attempt.finished_at, -1)]
    most = {}
    for key, of_key in changes.items():
        level = highest = 0
        for _, at_once in groupby(sorted(of_key), key=lambda change: change[0]):
            level += sum(change for _, change in at_once)
            highest = max(highest, level)
        most[key] = highest
    return most


def test_no_limit_is_exceeded_and_no_order_broken_while_workers_are_killed(
    cluster: Cluster,
) -> None:
    cluster.beat()
    workers = [cluster.worker() for _ in range(2)]
    for number in range(OFFICES):
        submit_layers(f"office{number}")
    total = OFFICES * LAYERS * WIDTH
    for kill in range(1, KILLS + 1):
        wait_for(
            lambda done=kill * total // (KILLS + 2): ended() >= done,  # type: ignore[misc] # bound now
            seconds=60,
            what=f"the work goes on, see {cluster.log}",
        )
        cluster.kill(workers.pop(0))
        workers.append(cluster.worker())
    wait_for(lambda: ended() == total, seconds=90, what=f"all has ended, see {cluster.log}")
    assert set(Run.objects.values_list("state", flat=True)) == {RunState.DONE}
    most = most_at_once()
    assert max(count for (_, role), count in most.items() if not role) <= LIMIT
    assert max(count for (_, role), count in most.items() if role) == 1
    out_of_order = [
        wait
        for wait in RunDependency.objects.select_related("run", "depends_on")
        if first_start(wait.run) < last_end(wait.depends_on)
    ]
    assert out_of_order == []


def ended() -> int:
    return Run.objects.filter(finished_at__isnull=False).count()


def first_start(run: Run) -> datetime:
    return min(attempt.started_at for attempt in run.attempts.all())


def last_end(run: Run) -> datetime:
    return max(attempt.finished_at for attempt in run.attempts.all() if attempt.finished_at)
