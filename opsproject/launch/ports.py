"""Finding a TCP port on the loopback interface."""

import secrets
import socket
from contextlib import closing
from pathlib import Path

from opsproject.launch.errors import PortTakenError

LOOPBACK = "127.0.0.1"
KERNELS_OWN = Path("/proc/sys/net/ipv4/ip_local_port_range")  # what outgoing connections are given
LOWEST, HIGHEST = 20_000, 65_535
DRAWS = 100


def is_free(port: int) -> bool:
    """Tell whether a server could listen there now."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do after a restart
        try:
            probe.bind((LOOPBACK, port))
        except OSError:  # in use, or below 1024 without the right
            return False
    return True


def free_port() -> int:
    """Return a port that nobody listens on now, and that the kernel gives to no connection.

    A server that takes seconds to listen would else find it taken by somebody's outgoing one.
    """
    choice = _outside(*_given_to_connections())
    for _ in range(DRAWS if choice else 0):
        port = choice[secrets.randbelow(len(choice))]
        if is_free(port):
            return port
    with closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _given_to_connections() -> tuple[int, int]:
    """Return the first and the last port that the kernel draws from."""
    try:
        first, last = KERNELS_OWN.read_text(encoding="ascii").split()
        return int(first), int(last)
    except (OSError, ValueError):  # not Linux: IANA's dynamic ports
        return 49_152, HIGHEST


def _outside(first: int, last: int) -> range:
    """Return the larger of the two ranges beside it."""
    return max(range(LOWEST, first), range(max(last + 1, LOWEST), HIGHEST + 1), key=len)


def require_free(port: int) -> None:
    """Raise PortTakenError unless the web server could listen there."""
    if not is_free(port):
        raise PortTakenError(
            f"port {port} is taken: stop what listens on {LOOPBACK}:{port}, or set OPS_PORT"
        )
