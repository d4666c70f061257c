"""The same engine on RabbitMQ, with confirmed publishing and quorum queues."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduling.clock import database_now
from scheduling.ledger import accounts
from scheduling.models import Run
from scheduling.states import RunState
from tests.cluster import Cluster
from tests.conftest import JobMaker
from tests.servers import wait_for


@pytest.fixture
def rabbit_cluster(transactional_db: None, tmp_path: Path, rabbitmq_url: str) -> Iterator[Cluster]:
    del transactional_db
    made = Cluster(tmp_path, rabbitmq_url)
    yield made
    made.stop()


def test_ticks_run_once_on_rabbitmq(rabbit_cluster: Cluster, make_job: JobMaker) -> None:
    rabbit_cluster.worker()
    make_job("every-second", every=1)
    make_job("retried", every=2, task="tests.fails_until", params={"attempts": 2})
    rabbit_cluster.beat()
    wait_for(
        lambda: (
            Run.objects.filter(state=RunState.DONE).count() >= 5
            and Run.objects.filter(job__job_id="retried", state=RunState.DONE).exists()
        ),
        seconds=60,
        what="runs are done, one of them after a retry",
    )
    assert all(account.closes for account in accounts("real", now=database_now()))
