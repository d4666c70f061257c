"""Who serves a queue: workers with the fence, or plain Celery workers that know no ledger.

Ours stand in the database, and say so when Celery's remote control asks. The others only answer to
that, which takes a second: a thread asks, and only where there are queues that others might serve.
A queue that plain workers serve is *untracked*: its runs are handed over (DESIGN rule 4). Until
somebody says that he serves a foreign queue, its messages are held back: the next plain worker
would run them all, and nobody would tell.
"""

import logging
import math
import threading
import time
import weakref
from collections.abc import Collection, Iterable, Mapping

from celery import Celery

from scheduling.conf import conf
from scheduling.models import WorkerProcess
from scheduling.queues import FENCED, is_own_queue

logger = logging.getLogger(__name__)

ASK_EVERY_SECONDS = 5.0
ANSWER_SECONDS = 1.0
REMEMBERED_SECONDS = 60.0  # a plain worker that is too busy to answer still serves
FORMER_WORKERS = 100  # as many lives of ours are looked at, the newest, for a queue without any


class Serving:
    """What one beat knows of the workers; nothing here waits but the thread of its own."""

    def __init__(self, app: Celery, scope: str) -> None:
        self._app = app
        self._scope = scope
        self._seen: dict[str, float] = {}  # queue: when a plain worker last said it serves it
        self._thread: threading.Thread | None = None
        self._asked = threading.Event()

    def foreign(self, queues: Iterable[str]) -> set[str]:
        """Return those of the queues that are not our scope's own, and others may serve."""
        return {queue for queue in queues if not is_own_queue(queue, self._scope)}

    def knows(self) -> bool:
        """Whether the workers have been asked yet; begins to ask."""
        if self._thread is None:
            # It must not keep alive what it asks for: where nobody wants to know, it ends.
            gone = threading.Event()
            asking = (weakref.ref(self, lambda _: gone.set()), gone)
            self._thread = threading.Thread(target=_ask_on, args=asking, daemon=True)
            self._thread.start()
        return self._asked.is_set()

    def untracked(self, queues: Iterable[str]) -> set[str]:
        """Return those of the queues that plain workers serve, alone or beside ours.

        Whatever a plain worker takes there is executed and never told of, and ours cannot know
        which messages those were.
        """
        since = time.monotonic() - REMEMBERED_SECONDS
        named = set(conf.OPS_UNTRACKED_QUEUES)
        return {q for q in queues if q in named or self._seen.get(q, -math.inf) > since}

    def unserved(self, queues: Iterable[str]) -> set[str]:
        """Return those of the foreign queues that nobody serves, as far as anybody has said.

        A queue that only workers of ours were seen on stays theirs while they are restarted.
        """
        foreign = self.foreign(queues)
        unknown = foreign - self.untracked(foreign)
        if not unknown:
            return set()
        once_ours = self._once_served_by_ours() - self._seen.keys()
        return unknown - self.served_by_ours() - once_ours

    def served_by_ours(self) -> set[str]:
        """Return the queues that live workers of ours serve."""
        live = WorkerProcess.objects.live().filter(scope=self._scope)
        return {queue for queues in live.values_list("queues", flat=True) for queue in queues}

    def note(self, queues_by_node: Mapping[str, Collection[str]]) -> None:
        """Take what plain workers answered."""
        now = time.monotonic()
        for queues in queues_by_node.values():
            self._seen.update(dict.fromkeys(queues, now))
        self._asked.set()

    def plain_workers(self) -> dict[str, list[str]]:
        """Ask all workers; return the queues of those without the fence, by their node."""
        answers = self._app.control.inspect(timeout=ANSWER_SECONDS).active_queues() or {}
        return {
            node: [queue["name"] for queue in queues if not queue.get(FENCED)]
            for node, queues in answers.items()
        }

    def ask(self) -> None:
        """Ask and note; what goes wrong is asked again soon."""
        try:
            self.note(self.plain_workers())
        except Exception as error:  # noqa: BLE001 each transport has its own
            logger.info("workers_not_asked", extra={"error": str(error)})

    def _once_served_by_ours(self) -> set[str]:
        lives = WorkerProcess.objects.filter(scope=self._scope).order_by("-started_at")
        newest = lives.values_list("queues", flat=True)[:FORMER_WORKERS]
        return {queue for served in newest for queue in served}


def _ask_on(of: "weakref.ref[Serving]", gone: threading.Event) -> None:
    while (serving := of()) is not None:
        serving.ask()
        del serving
        gone.wait(ASK_EVERY_SECONDS)
