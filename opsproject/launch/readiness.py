"""Waiting until the web process answers."""

import threading
import time

import httpx

from opsproject.launch.errors import NotReadyError
from opsproject.launch.ports import LOOPBACK
from opsproject.launch.supervision import Supervisor

POLL_SECONDS = 0.25
LIMIT_SECONDS = 120.0
ANSWER_SECONDS = 10


def wait_until_ready(port: int, *, stop: threading.Event, supervisor: Supervisor) -> bool:
    """Return True once /health answers anything at all, False if we are to stop before.

    Raises NotReadyError after `LIMIT_SECONDS`.
    """
    limit = time.monotonic() + LIMIT_SECONDS
    while not stop.wait(POLL_SECONDS):
        supervisor.require_running()
        if _answers(port):
            return True
        if time.monotonic() > limit:
            raise NotReadyError(
                f"web does not answer on port {port} within {LIMIT_SECONDS:.0f} s: see its lines"
            )
    return False


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://{LOOPBACK}:{port}/health", timeout=ANSWER_SECONDS, trust_env=False)
    except httpx.TransportError:
        return False
    return True
