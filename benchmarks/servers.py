"""Real servers for the length of a measurement, each on data of its own that is then removed."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opsproject.servers.server import Server

LONGEST_START_SECONDS = 90
LOOK_EVERY_SECONDS = 0.1


@contextmanager
def running(kind: type[Server], *, within: Path | None = None) -> Iterator[Server]:
    """Yield a server that answers; its files are `within` a directory, or among temporary ones."""
    directory = Path(tempfile.mkdtemp(prefix="bench-server-", dir=within))
    server = kind(directory, dies_with_us=True)
    try:
        server.start()
        _wait_until_it_answers(server)
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory, ignore_errors=True)


def _wait_until_it_answers(server: Server) -> None:
    deadline = time.monotonic() + LONGEST_START_SECONDS
    while not server.answers():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} does not start:\n{server.log.read_text()[-2000:]}")
        time.sleep(LOOK_EVERY_SECONDS)
