"""Foreign workers as processes of their own, with only the client: the seed's snippet, kombu."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.change_job import change_job
from scheduling.actions.create_token import NewToken, create_token
from scheduling.actions.trigger_run import trigger_run
from scheduling.models import Job, Run, SkippedTicks
from scheduling.queues import FOREIGN_TASK
from tests.cluster import CHECKOUT, Cluster, wait_for_state
from tests.conftest import JobMaker
from tests.servers import wait_for

# Seed 002, §6, with only its import lines changed.
SNIPPET = """
from scheduling.client import mark_job_run
from scheduling.client import parse_job_message

worker = RabbitMQWorker(queue="real.jobs.buy-scanner")

def handle(payload):
    job = parse_job_message(payload)
    run_scan(**job.params)
    mark_job_run(job.job_id, scope=job.scope)
"""
AROUND_IT = """
import time
from scheduling.rabbitmq_worker import RabbitMQWorker

def run_scan(seconds):
    time.sleep(seconds)
"""
TICKS = {"rabbitmq": 20, "valkey": 5}  # the seed's broker gets all of them
INTERVAL = 4.0  # a tenth of it is what a machine that is held up may be late
DOCUMENT = CHECKOUT / "docs" / "foreign_workers.md"

Starter = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(
    live_server: Any, admin_user: Any, operator: Operator, tmp_path: Path
) -> Iterator[Starter]:
    """Return a function that starts a process which knows the API, and a broker."""
    new = NewToken(name="worker", access="operate", scope="real", office_id="")
    token = create_token(new, operator, user=admin_user)
    started: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str, broker_url: str) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CHECKOUT),
            "SCHEDULER_URL": live_server.url,
            "SCHEDULER_TOKEN": token,
            "CELERY_BROKER_URL": broker_url,
        }
        with (tmp_path / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], env=environment, stdout=log, stderr=log, cwd=tmp_path
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(params=["valkey", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def broker_url(request: pytest.FixtureRequest) -> str:
    if request.param == "rabbitmq":
        url: str = request.getfixturevalue("rabbitmq_url")
        with Celery("purge", broker=url).connection_for_write() as connection:
            channel: Any = connection.channel()
            channel.queue_delete("real.jobs.buy-scanner")
        return url
    return str(request.getfixturevalue("valkey_server").url)


@pytest.fixture
def cluster(broker_url: str, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path, broker_url)
    yield made
    made.stop()


@pytest.mark.django_db(transaction=True)
def test_the_seeds_snippet_does_twenty_ticks_working_nine_tenths_of_its_interval(
    cluster: Cluster,
    start: Starter,
    broker_url: str,
    make_job: JobMaker,
    operator: Operator,
    tmp_path: Path,
) -> None:
    scanner = tmp_path / "scanner.py"
    scanner.write_text(AROUND_IT + SNIPPET)
    start("-m", "scheduling.rabbitmq_worker", str(scanner), broker_url=broker_url)
    job = make_job(
        "buy-scanner",
        task=FOREIGN_TASK,
        every=INTERVAL,
        params={"seconds": 0.9 * INTERVAL},
    )
    cluster.beat()
    runs = Run.objects.filter(job=job)
    ticks = TICKS["rabbitmq" if broker_url.startswith("amqp") else "valkey"]
    wait_for(lambda: runs.count() >= ticks, seconds=INTERVAL * ticks + 40, what="the ticks are due")
    change_job(Job.objects.get(), operator, {"enabled": False})
    wait_for(lambda: not runs.open().exists(), seconds=30, what="all are reported")
    assert set(runs.values_list("state", flat=True)) == {"done"}
    assert not SkippedTicks.objects.exclude(reason="missed").exists()


@pytest.mark.django_db(transaction=True)
def test_the_documented_worker_with_kombu_alone_starts_renews_and_is_cancelled(
    cluster: Cluster,
    start: Starter,
    broker_url: str,
    make_job: JobMaker,
    operator: Operator,
    tmp_path: Path,
) -> None:
    (example,) = [
        block.partition("```")[0]
        for block in DOCUMENT.read_text(encoding="utf-8").split("```python\n")[1:]
        if "drain_events" in block
    ]
    (tmp_path / "export.py").write_text(example)
    start(str(tmp_path / "export.py"), broker_url=broker_url)
    export = {"task": FOREIGN_TASK, "reporting": "full", "every": None}
    short = make_job("export", params={"parts": 3}, **export)
    long = make_job("long", params={"parts": 10_000}, queue="real.jobs.export", **export)
    cluster.beat()
    done = wait_for_state(trigger_run(short, operator), "done", seconds=60)
    assert done.result == {"parts": 3}
    endless = wait_for_state(trigger_run(long, operator), "running")
    cancel_runs([endless.pk], operator)
    wait_for_state(endless, "cancelled")
    attempt = endless.attempts.get()
    assert attempt.gone_at is not None
    wait_for_state(trigger_run(short, operator), "done")  # the worker takes the next
