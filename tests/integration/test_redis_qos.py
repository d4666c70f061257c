"""What Redis is told of a fenced message: nothing that the ledger knows better."""

from collections.abc import Iterator

import pytest
import redis
from kombu import Connection

from scheduling.fence import HEADER
from scheduling.worker.redis_qos import LedgerQoS
from tests.servers import Valkey


@pytest.fixture
def connection(valkey_server: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setattr("kombu.transport.redis.Channel.QoS", LedgerQoS)
    client = redis.Redis(port=valkey_server.port)
    client.flushall()
    with Connection(valkey_server.url) as made:
        yield made
    client.flushall()


def unacknowledged(valkey: Valkey) -> int:
    found = redis.Redis(port=valkey.port).hlen("unacked")
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize(("headers", "entries"), [({HEADER: "x:1"}, 0), ({}, 1)])
def test_only_a_foreign_message_is_entered_as_unacknowledged(
    connection: Connection, valkey_server: Valkey, headers: dict[str, str], entries: int
) -> None:
    with connection.channel() as channel:
        queue = connection.SimpleQueue("qos", channel=channel)
        queue.put({}, headers=headers)
        message = queue.get(timeout=5)
        assert unacknowledged(valkey_server) == entries
        message.ack()
        assert unacknowledged(valkey_server) == 0


@pytest.mark.parametrize("headers", [{HEADER: "x:1"}, {}])
def test_what_is_not_acknowledged_is_there_again_when_the_channel_closes(
    connection: Connection, headers: dict[str, str]
) -> None:
    queue = connection.SimpleQueue("qos")
    queue.put({"n": 1}, headers=headers)
    queue.get(timeout=5)
    connection.close()
    again = connection.SimpleQueue("qos").get(timeout=5)
    assert again.payload == {"n": 1}
    assert again.headers["redelivered"]
    again.ack()


@pytest.mark.parametrize("headers", [{HEADER: "x:1"}, {}])
def test_a_message_can_be_requeued(connection: Connection, headers: dict[str, str]) -> None:
    queue = connection.SimpleQueue("qos")
    queue.put({"n": 1}, headers=headers)
    queue.get(timeout=5).requeue()
    assert queue.get(timeout=5).payload == {"n": 1}
