"""Finding ports for `up`."""

import socket

import pytest

from opsproject.launch.errors import PortTakenError
from opsproject.launch.ports import free_port, is_free, require_free


def test_a_port_in_use_names_the_port_and_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(PortTakenError, match=rf"port {port} is taken: .*OPS_PORT"):
            require_free(port)


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()
    require_free(port)
    socket.create_server(("127.0.0.1", port)).close()


def test_a_port_in_the_aftermath_of_a_connection_counts_as_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # the side that closes first keeps TIME_WAIT
    assert is_free(port)
