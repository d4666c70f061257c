"""The parts of this worker process that requests need, started by `step`, ended by `lifecycle`."""

from typing import Any
from uuid import UUID

from scheduling.worker.mailbox import Mailbox
from scheduling.worker.recorder import Recorder

WRITE_OUT_SECONDS = 5.0


class Runtime:
    """One per process. `worker_id` is the row that it beats for; None before its start."""

    def __init__(self) -> None:
        self.mailbox = Mailbox()
        self.recorder = Recorder(lambda: self.worker_id)
        self.heartbeat: Any = None
        self.worker_id: UUID | None = None
        self.controller: Any = None
        self.follow_queues = True

    def release_pool_slot(self) -> None:
        """Give back what Celery acquired for a request that will not run."""
        release = getattr(self.controller, "_quick_release", None)
        if release is not None:
            release()

    def start_recorder(self) -> None:
        """Begin to answer: requests that came before there was a worker row have waited."""
        if not self.recorder.is_alive():
            self.recorder.start()

    def leave(self) -> None:
        """Write what is left, then say goodbye: what still runs after that is given to others."""
        if self.recorder.is_alive():
            self.recorder.stop(WRITE_OUT_SECONDS)
        if self.heartbeat is not None:
            self.heartbeat.stop()


runtime = Runtime()
