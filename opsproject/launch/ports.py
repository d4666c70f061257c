"""Finding a TCP port on the loopback interface."""

import socket
from contextlib import closing

from opsproject.launch.errors import PortTakenError

LOOPBACK = "127.0.0.1"


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
    """Return a port that nobody listens on now."""
    with closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def require_free(port: int) -> None:
    """Raise PortTakenError unless the web server could listen there."""
    if not is_free(port):
        raise PortTakenError(
            f"port {port} is taken: stop what listens on {LOOPBACK}:{port}, or set OPS_PORT"
        )
