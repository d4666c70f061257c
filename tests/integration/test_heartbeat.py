"""The heartbeat through real brokers."""

import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from amqp.exceptions import NotFound
from django.conf import settings as configured
from django.utils import timezone
from kombu import Producer

from monitoring.broker import bounded_connection
from monitoring.errors import BrokerError, HeartbeatError
from monitoring.heartbeat import (
    KEEP_SAMPLES,
    _let_expire,
    _private_queue,
    _wait_for,
    round_trip,
)
from monitoring.models import ProbeSample
from tests.servers import Valkey, free_port

pytestmark = pytest.mark.django_db


@pytest.fixture
def on_valkey(valkey_server: Valkey, settings: Any) -> Iterator[redis.Redis]:
    """Point the platform at the private server, emptied, and give a client of it."""
    settings.CELERY_BROKER_URL = valkey_server.url
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {}
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
        yield client


@pytest.mark.valkey
def test_a_round_trip_is_measured_and_kept(on_valkey: redis.Redis) -> None:
    result = round_trip()

    sample = ProbeSample.objects.get()
    assert sample.probe == "broker_heartbeat"
    assert sample.ok
    assert sample.latency_seconds == result["latency_seconds"] > 0
    assert on_valkey.keys("*") == []


@pytest.mark.valkey
def test_what_a_killed_heartbeat_leaves_expires_by_itself(on_valkey: redis.Redis) -> None:
    with bounded_connection(2) as connection:
        channel = connection.channel()
        queue = _private_queue("left")(channel)
        queue.queue_declare()
        Producer(channel).publish("left", routing_key=queue.name)
        _let_expire(channel, queue.name)

    assert 0 < on_valkey.ttl(queue.name) <= 60


@pytest.mark.valkey
def test_a_message_that_does_not_come_back_is_given_up(on_valkey: redis.Redis) -> None:
    with bounded_connection(2) as connection:
        queue = _private_queue("silent")(connection.channel())
        queue.queue_declare()
        with pytest.raises(HeartbeatError, match="did not come back") as caught:
            _wait_for("never sent", queue, connection, until=time.monotonic() + 0.2)

    assert caught.value.code == "heartbeat_lost"
    assert on_valkey.keys("*") == []


def test_a_broker_that_is_down_is_an_error_with_code_and_remedy(settings: Any) -> None:
    settings.CELERY_BROKER_URL = f"redis://:hunter2secret@127.0.0.1:{free_port()}/0"

    with pytest.raises(BrokerError, match="check CELERY_BROKER_URL") as caught:
        round_trip()

    assert caught.value.code == "broker_unreachable"
    assert "hunter2secret" not in str(caught.value)
    sample = ProbeSample.objects.get()
    assert (sample.ok, sample.latency_seconds) == (False, None)


def test_a_broker_that_takes_connections_and_says_nothing_is_given_up(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.heartbeat.TIMEOUT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{mute.getsockname()[1]}/0"
        with pytest.raises(BrokerError):
            round_trip()


@pytest.mark.valkey
def test_samples_older_than_their_age_are_pruned(on_valkey: redis.Redis) -> None:
    del on_valkey
    mine = {"scope": configured.SCHEDULER_SCOPE, "probe": "broker_heartbeat", "ok": True}
    old = timezone.now() - KEEP_SAMPLES - timedelta(seconds=1)
    ProbeSample.objects.create(**mine, at=old)
    ProbeSample.objects.create(**{**mine, "probe": "another"}, at=old)

    round_trip()

    assert sorted(ProbeSample.objects.values_list("probe", flat=True)) == [
        "another",
        "broker_heartbeat",
    ]


@pytest.mark.rabbitmq
def test_a_round_trip_through_rabbitmq_leaves_no_queue(
    rabbitmq_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CELERY_BROKER_URL = rabbitmq_url
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}
    monkeypatch.setattr("monitoring.heartbeat.secrets.token_hex", lambda size: "k" * size)

    result = round_trip()

    assert result["latency_seconds"] > 0
    with bounded_connection(2) as connection:
        queue = _private_queue("k" * 16)(connection.channel())
        with pytest.raises(NotFound):
            queue.queue_declare(passive=True)
