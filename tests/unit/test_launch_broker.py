"""The choice of a broker: the operator's, else one of our own."""

import socket
import stat
from pathlib import Path

import pytest

from opsproject.launch.broker import choose_broker
from opsproject.launch.data_directory import held_data_directory
from opsproject.launch.errors import BrokerUnreachableError, UnsupportedBrokerError
from opsproject.launch.ports import free_port


def test_an_embedded_broker_keeps_its_port_and_password_over_restarts(tmp_path: Path) -> None:
    with held_data_directory(tmp_path, port=1) as directory:
        first = choose_broker(None, directory=directory)
        second = choose_broker(None, directory=directory)
    assert first.program is not None
    assert second.url == first.url


def test_an_embedded_broker_moves_when_its_port_was_taken(tmp_path: Path) -> None:
    with held_data_directory(tmp_path, port=1) as directory:
        first = choose_broker(None, directory=directory)
        port = int(first.url.rpartition(":")[2].partition("/")[0])
        with socket.create_server(("127.0.0.1", port)):
            second = choose_broker(None, directory=directory)
    assert second.url != first.url


def test_the_password_of_the_embedded_broker_is_for_this_user_only(tmp_path: Path) -> None:
    with held_data_directory(tmp_path, port=1) as directory:
        broker = choose_broker(None, directory=directory)
    password = broker.url.partition("redis://:")[2].partition("@")[0]
    assert broker.program is not None
    assert password not in " ".join(broker.program.command)
    assert password not in repr(broker)
    for name in ("broker.conf", "broker_url"):
        assert password in (tmp_path / name).read_text()
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("scheme", ["redis", "rediss", "amqp", "pyamqp"])
def test_a_broker_that_does_not_answer_is_named_without_its_password(
    tmp_path: Path, scheme: str
) -> None:
    url = f"{scheme}://user:hunter2@127.0.0.1:{free_port()}/0"
    with (
        held_data_directory(tmp_path, port=1) as directory,
        pytest.raises(BrokerUnreachableError, match=r"^CELERY_BROKER_URL=.*start that") as caught,
    ):
        choose_broker(url, directory=directory)
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "memory://",
        "filesystem://hunter2",
        "sqla+sqlite:///hunter2",
        "nonsense://ops:hunter2@127.0.0.1",
        "hunter2",
        "redis://127.0.0.1:6379/0;memory://",
    ],
)
def test_a_broker_that_the_processes_cannot_share_is_refused_in_one_line(
    tmp_path: Path, url: str
) -> None:
    with (
        held_data_directory(tmp_path, port=1) as directory,
        pytest.raises(
            UnsupportedBrokerError, match=r"^CELERY_BROKER_URL .*: use redis://"
        ) as caught,
    ):
        choose_broker(url, directory=directory)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
