"""The parts of this worker process that requests need, started by `step`, ended by `lifecycle`."""

from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from scheduling.engine.chains.links import CHAIN_HEADER
from scheduling.worker.attempts import Attempts
from scheduling.worker.errands import Errands
from scheduling.worker.mailbox import Mailbox
from scheduling.worker.recorder import Recorder

WRITE_OUT_SECONDS = 5.0


class Runtime:
    """One per process. `worker_id` is the row that it beats for; None before its start."""

    def __init__(self) -> None:
        self.mailbox = Mailbox()
        self.attempts: Attempts[Any] = Attempts()
        self.recorder = Recorder(lambda: self.worker_id, ended=self.follow_up)
        self.stopper: Any = None
        self.window: Any = None
        self.heartbeat: Any = None
        self.chains: Errands[int] | None = None
        self.follow_ups: Errands[UUID] | None = None
        self.worker_id: UUID | None = None
        self.controller: Any = None
        self.follow_queues = True

    def when_slot_is_free(self, call: Callable[[], None]) -> None:
        """Have the event loop call when a pool process is free, in the order of asking."""
        self.controller._quick_acquire(call)  # noqa: SLF001 Celery's own name for it

    def release_pool_slot(self) -> None:
        """Give back what Celery acquired for a request that will not run."""
        release = getattr(self.controller, "_quick_release", None)
        if release is not None:
            release()

    @property
    def pool(self) -> Any:
        """Billiard's pool of processes; None for the other kinds."""
        return self.controller.pool._pool if self.can_stop else None  # noqa: SLF001 no public way

    @property
    def can_stop(self) -> bool:
        """Whether what runs here runs in processes that can be stopped for certain."""
        return self.controller is not None and self.controller.pool_cls.__module__.endswith(
            "prefork"
        )

    def expect_termination(self, pid: int) -> None:
        """Have the pool report the death of this process at once, and not as an accident."""
        process, _ = self.pool._process_by_pid(pid)  # noqa: SLF001
        if process is not None:
            process._controlled_termination = process._job_terminated = True  # noqa: SLF001

    def start_recorder(self) -> None:
        """Begin to answer: requests that came before there was a worker row have waited."""
        if not self.recorder.is_alive():
            self.recorder.start()

    def look_after_chain(self, headers: Mapping[str, Any]) -> None:
        """A message is done with: if it is a link's, its chain goes on (SPEC A8)."""
        job_id = headers.get(CHAIN_HEADER)
        if isinstance(job_id, int) and self.chains is not None:
            self.chains.ask(job_id)

    def follow_up(self, run_ids: Collection[UUID]) -> None:
        """Attempts of these runs have ended: others may start (DESIGN, Flow)."""
        if self.follow_ups is not None:
            self.follow_ups.ask(*run_ids)

    def leave(self) -> None:
        """Write what is left, then say goodbye: what still runs after that is given to others."""
        if self.stopper is not None:
            self.stopper.end()
        if self.recorder.is_alive():
            self.recorder.stop(WRITE_OUT_SECONDS)
        for errands in (self.chains, self.follow_ups):
            if errands is not None:
                errands.stop(WRITE_OUT_SECONDS)
        if self.heartbeat is not None:
            self.heartbeat.stop()


runtime = Runtime()
