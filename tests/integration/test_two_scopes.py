"""Two worlds on one database and one broker server: the same ids, and nothing in common."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduling.clock import database_now
from scheduling.ledger import accounts
from scheduling.models import Run, WorkerProcess
from scheduling.states import RunState
from tests.cluster import Cluster
from tests.conftest import JobMaker
from tests.servers import Valkey, wait_for

SCOPES = ("real", "mock")


@pytest.fixture
def worlds(
    transactional_db: None, tmp_path: Path, valkey_server: Valkey
) -> Iterator[dict[str, Cluster]]:
    """One cluster a scope, each with a database number of its own on the same Valkey."""
    del transactional_db
    made = {}
    for number, scope in enumerate(SCOPES, start=1):
        directory = tmp_path / scope
        directory.mkdir()
        url = f"{valkey_server.url.rpartition('/')[0]}/{number}"
        made[scope] = Cluster(directory, url, scope=scope)
    yield made
    for cluster in made.values():
        cluster.stop()


def done(scope: str) -> int:
    return Run.objects.filter(scope=scope, state=RunState.DONE).count()


def test_each_scope_runs_its_own_jobs_only(worlds: dict[str, Cluster], make_job: JobMaker) -> None:
    for scope in SCOPES:
        make_job("same-id", scope=scope, every=1)
    worlds["real"].worker()
    worlds["real"].beat()
    wait_for(lambda: done("real") >= 3, seconds=40, what="real runs")
    assert not Run.objects.filter(scope="mock").exists()
    worlds["mock"].worker()
    worlds["mock"].beat()
    wait_for(lambda: done("mock") >= 3, seconds=40, what="mock runs")
    scope_of_worker = dict(WorkerProcess.objects.values_list("pk", "scope"))
    for run in Run.objects.exclude(worker=None):
        assert run.worker_id is not None
        assert scope_of_worker[run.worker_id] == run.scope
        assert run.queue == f"{run.scope}.jobs.same-id"
    for scope in SCOPES:
        (account,) = accounts(scope, now=database_now())
        assert account.closes


def test_a_killed_worker_of_one_scope_is_no_concern_of_the_other(
    worlds: dict[str, Cluster], make_job: JobMaker
) -> None:
    for scope in SCOPES:
        make_job("same-id", scope=scope, every=1)
    victim = worlds["mock"].worker()
    worlds["real"].worker()
    worlds["real"].beat()
    worlds["mock"].kill(victim)
    before = done("real")
    wait_for(lambda: done("real") >= before + 10, seconds=60, what="real runs go on")
    assert not WorkerProcess.objects.filter(scope="mock", lost_at__isnull=False).exists()
