"""Finding ports for `up`."""

import socket
from pathlib import Path

import pytest

from opsproject.launch import ports
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


@pytest.mark.parametrize(
    ("kernels_own", "ours"),
    [
        ("32768\t60999\n", range(20_000, 32_768)),
        ("10000\t50000\n", range(50_001, 65_536)),
        ("1024\t60000\n", range(60_001, 65_536)),
        ("no numbers", range(20_000, 49_152)),
    ],
)
def test_a_free_port_is_none_that_the_kernel_gives_to_connections(
    kernels_own: str, ours: range, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "ip_local_port_range"
    told.write_text(kernels_own, encoding="ascii")
    monkeypatch.setattr(ports, "KERNELS_OWN", told)
    assert {free_port() in ours for _ in range(50)} == {True}


def test_where_the_kernel_may_give_any_port_one_is_found_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "ip_local_port_range"
    told.write_text("1024\t65535\n", encoding="ascii")
    monkeypatch.setattr(ports, "KERNELS_OWN", told)
    require_free(free_port())
