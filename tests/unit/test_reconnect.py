"""What a worker takes along into a new life of its consumer."""

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

from celery.concurrency.asynpool import AsynPool
from kombu.asynchronous import Hub

from scheduling.worker.reconnect import watch_ended_processes


def test_a_process_that_has_just_ended_is_heard_of_and_ends_no_worker() -> None:
    """The pool's own code listens to it: with what is left of the old loop it would raise."""
    reader, writer = os.pipe()  # readable once the other end is gone, as a sentinel is
    with subprocess.Popen([sys.executable, "-c", ""], pass_fds=[writer]):
        os.close(writer)
    ended = SimpleNamespace(_popen=SimpleNamespace(sentinel=reader), _sentinel_poll=None)
    pool = Mock(spec=AsynPool, _pool=[ended])
    hub = Hub()
    watch_ended_processes(pool)
    celerys: Any = AsynPool  # it has no types
    celerys._track_child_process(pool, ended, hub)  # noqa: SLF001 what Celery does then
    assert list(hub.readers) == [ended._sentinel_poll]  # noqa: SLF001 where Celery keeps it
    hub.close()
    os.close(ended._sentinel_poll)  # noqa: SLF001 the same
    os.close(reader)
