"""SIGKILL, whoever it hits: no tick missing, none doubled, and the work goes on."""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from subprocess import Popen

import pytest
import redis

from opsproject.servers.descendants import signal_all
from scheduling.clock import database_now
from scheduling.engine.liveness import LOST_AFTER_SECONDS
from scheduling.ledger import accounts
from scheduling.models import Attempt, Run, SkippedTicks, WorkerProcess
from scheduling.states import RunState
from tests.cluster import Cluster, wait_for_state
from tests.conftest import JobMaker
from tests.servers import Valkey, wait_for


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A broker of the test's own, because it is killed."""
    server = Valkey(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path, valkey: Valkey) -> Iterator[Cluster]:
    del transactional_db
    made = Cluster(tmp_path, valkey.url)
    yield made
    made.stop()


def done() -> int:
    return Run.objects.filter(state=RunState.DONE).count()


def wait_for_more(runs: int, *, seconds: float = 40) -> None:
    before = done()
    wait_for(lambda: done() >= before + runs, seconds=seconds, what=f"{runs} more runs are done")


def assert_every_tick_has_one_verdict() -> None:
    now = database_now()
    found = accounts("real", now=now)
    assert [account.problems for account in found] == [[] for _ in found]
    assert all(account.closes for account in found)
    assert sum(account.planned for account in found) > 5
    ticks = Counter(Run.objects.values_list("job_id", "scheduled_for"))
    assert max(ticks.values()) == 1


def test_two_beats_on_one_database_plan_each_tick_once(
    cluster: Cluster, make_job: JobMaker
) -> None:
    cluster.worker()
    for n in range(5):
        make_job(f"job-{n}", every=1)
    cluster.beat()
    cluster.beat()
    wait_for_more(30)
    assert_every_tick_has_one_verdict()
    assert Attempt.objects.values("run").distinct().count() == Attempt.objects.count()


def test_a_killed_beat_is_replaced_by_the_other(cluster: Cluster, make_job: JobMaker) -> None:
    cluster.worker()
    make_job(every=1)
    victim = cluster.beat()
    cluster.beat()
    wait_for_more(3)
    cluster.kill(victim)
    wait_for_more(5)
    assert_every_tick_has_one_verdict()


def test_while_no_beat_lives_ticks_are_coalesced_and_not_lost(
    cluster: Cluster, make_job: JobMaker
) -> None:
    cluster.worker()
    make_job(every=1, misfire_grace=timedelta(seconds=0.5))
    cluster.kill(_beat_after_runs(cluster, 2))
    due = database_now() + timedelta(seconds=4)
    wait_for(lambda: database_now() > due, seconds=10, what="some ticks have passed")
    _beat_after_runs(cluster, 2)
    assert_every_tick_has_one_verdict()
    assert SkippedTicks.objects.filter(reason="coalesced").exists()


def _beat_after_runs(cluster: Cluster, runs: int) -> Popen[bytes]:
    beat = cluster.beat()
    wait_for_more(runs)
    return beat


def test_the_run_of_a_killed_worker_is_tried_again_by_another(
    cluster: Cluster, make_job: JobMaker, tmp_path: Path
) -> None:
    victim = cluster.worker()
    seen, release = tmp_path / "seen", tmp_path / "release"
    make_job(task="tests.hold", params={"path": str(seen), "release": str(release)}, every=2)
    cluster.beat()
    wait_for(seen.exists, seconds=20, what="the task has started")
    run = Run.objects.get(state=RunState.RUNNING)
    cluster.kill(victim)
    wait_for(
        lambda: WorkerProcess.objects.filter(lost_at__isnull=False).exists(),
        seconds=30,
        what="the worker is noticed as lost",
    )
    cluster.worker()
    release.touch()
    wait_for_state(run, RunState.DONE)
    assert [a.outcome for a in run.attempts.order_by("number")] == ["lost", "done"]
    assert_no_tick_was_lost()


def assert_no_tick_was_lost() -> None:
    assert all(account.closes for account in accounts("real", now=database_now()))


def test_a_killed_broker_loses_nothing(
    cluster: Cluster, make_job: JobMaker, valkey: Valkey
) -> None:
    cluster.worker()
    for n in range(3):
        make_job(f"job-{n}", every=1)
    cluster.beat()
    wait_for_more(6)
    valkey.kill()
    planned = Run.objects.count() + SkippedTicks.objects.count()
    wait_for(
        lambda: Run.objects.count() + SkippedTicks.objects.count() > planned,
        seconds=10,
        what="ticks are planned without a broker",
    )
    valkey.start()
    wait_for_more(9)
    assert_every_tick_has_one_verdict()


def test_a_worker_outlives_its_broker_with_a_run_in_hand(
    cluster: Cluster, make_job: JobMaker, valkey: Valkey, tmp_path: Path
) -> None:
    worker = cluster.worker()
    seen, release = tmp_path / "seen", tmp_path / "release"
    params = {"path": str(seen), "release": str(release)}
    make_job(task="tests.hold", params=params, every=2)
    make_job("beside-it", every=1)
    cluster.beat()
    wait_for(seen.exists, seconds=20, what="the task has started")
    run = Run.objects.get(state=RunState.RUNNING, task="tests.hold")
    valkey.kill()
    release.touch()
    valkey.start()
    wait_for_state(run, RunState.DONE)
    wait_for_more(5)
    assert worker.poll() is None
    assert run.attempts.count() == 1
    assert_every_tick_has_one_verdict()


def test_a_lost_worker_is_noticed_while_the_broker_hangs(
    cluster: Cluster, valkey: Valkey, make_job: JobMaker
) -> None:
    """Each try of a broker that takes what it is sent and never answers costs the beat seconds."""
    worker = cluster.worker()
    cluster.beat()
    make_job(every=1, max_parallel=5)
    wait_for_more(2)
    signal_all(valkey.pids(), signal.SIGSTOP)
    cluster.kill(worker)
    killed_at = time.monotonic()
    wait_for(
        lambda: WorkerProcess.objects.filter(lost_at__isnull=False).exists(),
        seconds=30,
        what="the killed worker is lost",
    )
    took = time.monotonic() - killed_at
    signal_all(valkey.pids(), signal.SIGCONT)
    assert took < LOST_AFTER_SECONDS + 5
    cluster.worker()
    wait_for_more(2)


def test_a_flushed_broker_gets_the_missing_messages_again(
    cluster: Cluster, make_job: JobMaker, valkey: Valkey
) -> None:
    job = make_job(every=2, expires_after=timedelta(seconds=120))
    cluster.beat()
    wait_for(
        lambda: Run.objects.filter(job=job, published_at__isnull=False).exists(),
        seconds=20,
        what="a message is on the broker",
    )
    run = Run.objects.get(job=job, state=RunState.QUEUED)
    redis.Redis(port=valkey.port).flushall()
    cluster.worker()
    # Its only message was flushed: that it ran at all is the proof.
    wait_for_state(run, RunState.DONE)
    assert run.attempts.count() == 1
