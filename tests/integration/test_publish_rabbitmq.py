"""Batches of messages on a real RabbitMQ: what it did not confirm does not count as sent."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Exchange, Producer, Queue
from kombu.exceptions import OperationalError

from opsproject.servers.descendants import descendants_of, signal_all
from opsproject.servers.rabbitmq import DEBIAN, RabbitMQ
from scheduling.clock import database_now
from scheduling.engine.new_run import new_run
from scheduling.engine.publishing import confirms
from scheduling.engine.publishing.delivery import Delivery, deliver
from scheduling.engine.publishing.message import send_message
from scheduling.engine.publishing.publish import Publisher
from scheduling.models import Job, Run
from scheduling.states import Trigger
from scheduling.transitions import open_runs
from tests.claims import claim_all
from tests.conftest import JobMaker
from tests.servers import running_node, wait_for


def publisher_to(url: str) -> Publisher:
    app = Celery("publisher", broker=url)
    app.conf.broker_transport_options = {"confirm_publish": True}
    app.conf.task_create_missing_queue_type = "quorum"
    app.conf.task_create_missing_queue_exchange_type = "direct"
    return Publisher(app)


@pytest.fixture
def publisher(rabbitmq_url: str) -> Iterator[Publisher]:
    made = publisher_to(rabbitmq_url)
    yield made
    with Connection(rabbitmq_url) as connection:
        for name in ("real.shared", "theirs", "full", "bound"):
            connection.channel().queue_delete(name)  # type: ignore[attr-defined] # AMQP's has it


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RabbitMQ]:
    """Yield a RabbitMQ of one's own, to be frozen and killed."""
    with running_node(tmp_path) as node:
        yield node


def control(broker: RabbitMQ, *command: str) -> None:
    """Run rabbitmqctl in the environment of the broker's own process."""
    assert broker.process is not None
    lines = Path(f"/proc/{broker.process.pid}/environ").read_text(encoding="utf-8").split("\0")
    environment = dict(line.split("=", 1) for line in lines if line)
    program = Path(DEBIAN).with_name("rabbitmqctl")
    subprocess.run([program, *command], env=environment, check=True, stdout=subprocess.DEVNULL)


def claimed(*jobs: Job, **values: Any) -> list[Run]:
    now = database_now()
    runs = [new_run(job, trigger=Trigger.MANUAL, now=now) for job in jobs]
    for run in runs:
        for name, value in values.items():
            setattr(run, name, value)
    open_runs(runs)
    return claim_all(now=now)


def many(make_job: JobMaker, count: int) -> list[Run]:
    return claimed(*[make_job(f"job-{n}", queue="shared") for n in range(count)])


def depth(publisher: Publisher, queue: str) -> int:
    with Connection(publisher.app.conf.broker_url) as connection:
        channel: Any = connection.channel()
        return int(channel.queue_declare(queue, passive=True).message_count)


def unpublished() -> int:
    return Run.objects.filter(published_at=None).count()


def test_a_batch_is_confirmed_message_by_message(publisher: Publisher, make_job: JobMaker) -> None:
    assert publisher.publish(many(make_job, 300), now=database_now()) == 300
    assert unpublished() == 0
    wait_for(lambda: depth(publisher, "real.shared") == 300, seconds=10, what="all have arrived")


def test_our_queues_are_quorum_queues_and_foreign_ones_are_taken_as_they_are(
    publisher: Publisher, make_job: JobMaker, rabbitmq_url: str
) -> None:
    with Connection(rabbitmq_url) as connection:
        Queue("theirs", Exchange("theirs", type="topic")).declare(channel=connection.channel())
    ours, theirs = claimed(make_job("ours", queue="shared"), make_job("theirs"))
    theirs.queue = "theirs"
    assert publisher.publish([ours, theirs], now=database_now()) == 2
    with Connection(rabbitmq_url) as connection:
        quorum = Queue("real.shared", queue_arguments={"x-queue-type": "quorum"})
        quorum.queue_declare(channel=connection.channel())
        Queue("theirs").queue_declare(channel=connection.channel())


def test_a_queue_of_ours_that_was_deleted_is_declared_again(
    publisher: Publisher, make_job: JobMaker, rabbitmq_url: str
) -> None:
    first, second = many(make_job, 2)
    publisher.publish([first], now=database_now())
    with Connection(rabbitmq_url) as connection:
        channel: Any = connection.channel()
        channel.queue_delete("real.shared")
    assert publisher.publish([second], now=database_now()) == 1
    assert depth(publisher, "real.shared") == 1


def test_a_message_that_no_queue_wants_is_refused_alone(
    publisher: Publisher, make_job: JobMaker
) -> None:
    lost, kept = claimed(make_job("lost"), make_job("kept", queue="shared"))
    lost.queue = "nobody"
    assert publisher.publish([lost, kept], now=database_now()) == 1
    lost.refresh_from_db()
    assert "NO_ROUTE" in lost.error
    assert lost.published_at is None
    assert depth(publisher, "real.shared") == 1


def test_an_exchange_that_does_not_exist_harms_no_other_message(
    publisher: Publisher, make_job: JobMaker
) -> None:
    first, lost, last = many(make_job, 3)
    lost.routing = {"exchange": "nowhere", "routing_key": "key"}
    assert publisher.publish([first, lost, last], now=database_now()) == 2
    lost.refresh_from_db()
    assert "nowhere" in lost.error
    assert unpublished() == 1


def test_a_routed_message_goes_through_its_exchange(
    publisher: Publisher, make_job: JobMaker, rabbitmq_url: str
) -> None:
    with Connection(rabbitmq_url) as connection:
        exchange = Exchange("events", type="topic")
        Queue("bound", exchange, routing_key="orders.#").declare(channel=connection.channel())
    routing = {"exchange": "events", "routing_key": "orders.new", "priority": 4}
    publisher.publish(claimed(make_job(), routing=routing), now=database_now())
    with Connection(rabbitmq_url) as connection:
        channel: Any = connection.channel()
        message = channel.basic_get("bound", no_ack=True)
    assert message.delivery_info["exchange"] == "events"
    assert message.properties["priority"] == 4


def test_a_message_that_a_full_queue_turns_away_is_refused(
    publisher: Publisher, make_job: JobMaker, rabbitmq_url: str
) -> None:
    with Connection(rabbitmq_url) as connection:
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        full = Queue("full", queue_arguments=arguments, durable=True)
        full.queue_declare(channel=connection.channel())
    runs = claimed(make_job("a"), make_job("b"))
    for run in runs:
        run.queue = "full"
    assert publisher.publish(runs, now=database_now()) == 1
    assert Run.objects.filter(error__contains="takes no more messages").count() == 1


def test_what_a_frozen_broker_does_not_confirm_is_not_sent(
    broker: RabbitMQ, make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirms, "LONGEST_WAIT_SECONDS", 1.0)
    publisher = publisher_to(broker.url)
    first, *rest = many(make_job, 30)
    publisher.publish([first], now=database_now())
    assert broker.process is not None
    pids = [broker.process.pid, *descendants_of(broker.process.pid)]
    signal_all(pids, signal.SIGSTOP)
    try:
        assert publisher.publish(rest, now=database_now()) == 0
    finally:
        signal_all(pids, signal.SIGCONT)
    assert not publisher.available
    assert unpublished() == 29
    wait_for(lambda: publisher.available, seconds=10, what="the broker has had its rest")
    assert publisher.publish(rest, now=database_now()) == 29
    assert unpublished() == 0


def test_a_broker_that_dies_in_the_middle_of_a_batch_leaves_the_rest_unsent(
    broker: RabbitMQ, make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = publisher_to(broker.url)
    runs = many(make_job, 30)
    publisher.publish(runs[:1], now=database_now())
    sent: list[Run] = []

    def die_after_ten(app: Celery, producer: Producer, run: Run, **options: Any) -> None:
        if len(sent) == 10:
            broker.kill()
        sent.append(run)
        send_message(app, producer, run, **options)

    monkeypatch.setattr("scheduling.engine.publishing.delivery.send_message", die_after_ten)
    answered = publisher.publish(runs[1:], now=database_now())
    assert not publisher.available
    assert answered <= 10
    assert unpublished() == 29 - answered


def test_of_messages_without_a_fence_at_most_the_one_on_its_way_is_uncertain(
    broker: RabbitMQ, make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = publisher_to(broker.url).app
    runs = many(make_job, 20)
    sent: list[Run] = []

    def die_after_ten(app: Celery, producer: Producer, run: Run, **options: Any) -> None:
        if len(sent) == 10:
            broker.kill()
        sent.append(run)
        send_message(app, producer, run, **options)

    monkeypatch.setattr("scheduling.engine.publishing.delivery.send_message", die_after_ten)
    delivery = Delivery(runs, now=database_now(), fenced=False)
    with pytest.raises(OperationalError):
        deliver(app, delivery)
    assert delivery.sent == runs[:10]
    assert delivery.uncertain == [runs[10]]
    assert list(delivery.waiting.values()) == runs[10:]
    assert len(sent) == 11


def test_a_broker_that_blocks_publishers_holds_nobody_up(
    broker: RabbitMQ, make_job: JobMaker
) -> None:
    publisher = publisher_to(broker.url)
    runs = many(make_job, 20)
    publisher.publish(runs[:1], now=database_now())
    control(broker, "set_vm_memory_high_watermark", "absolute", "1000")
    wait_for(lambda: publisher.publish(runs[1:], now=database_now()) == 0, seconds=20,
             what="the alarm is raised")  # fmt: skip
    assert not publisher.available
    control(broker, "set_vm_memory_high_watermark", "0.6")
    wait_for(lambda: publisher.publish(runs[1:], now=database_now()) == 19, seconds=20,
             what="the alarm is over")  # fmt: skip
