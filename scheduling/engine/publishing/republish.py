"""Republishes only what is missing: published rows that neither the broker nor a live worker holds.

Missing per queue = published and unstarted rows - (broker depth + what live workers report as
reserved), believed when two sweeps in a row see it (DESIGN rule 8). A message too many is refused
by the fence; a message too few would leave a run waiting for ever.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from amqp.exceptions import NotFound
from celery import Celery
from django.db.models import Count
from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError

from scheduling.engine.aside import read_runs, those_that
from scheduling.engine.publishing.batch import size_for
from scheduling.engine.publishing.publish import Publisher
from scheduling.engine.publishing.unserved import note_unserved
from scheduling.models import Run, WorkerProcess
from scheduling.models.job import Reporting
from scheduling.models.run import ROUTED, RunQuerySet
from scheduling.states import RunState
from scheduling.transitions import hand_over

logger = logging.getLogger(__name__)

SWEEP_EVERY_SECONDS = 3.0
LONG_AGO_SECONDS = 4 * SWEEP_EVERY_SECONDS  # what was seen before then were other messages
FIRST_WAIT = timedelta(seconds=4)  # a message younger than this may still be on its way
MOST_A_SWEEP = 500
MOST_QUEUES = 200  # looked at in one sweep, by turns: each is a question to the broker


class MissingMessages:
    """Remembers what was missing when all queues had last been looked at."""

    def __init__(self, app: Celery, scope: str) -> None:
        self.app = app
        self.scope = scope
        self._before: Counter[str] = Counter()
        self._this_round: Counter[str] = Counter()
        self._looked_until = ""
        self._swept_at: float | None = None

    def sweep(self, publisher: Publisher, *, now: datetime, monotonic: float) -> int:
        """Send again what two sweeps found missing; return how many messages."""
        if self._swept_at is not None and monotonic - self._swept_at < SWEEP_EVERY_SECONDS:
            return 0
        if self._swept_at is not None and monotonic - self._swept_at > LONG_AGO_SECONDS:
            self._before, self._this_round = Counter(), Counter()
        self._swept_at = monotonic
        queues = self._next_queues(now)
        if publisher.serving is not None:
            note_unserved(self.scope, queues, publisher.serving, now=now)
        missing = self._missing(queues)
        confirmed = missing & self._before
        self._this_round.update(missing)
        if not self._looked_until:
            self._before, self._this_round = self._this_round, Counter()
        runs = [
            run for queue, count in confirmed.items() for run in self._oldest(queue, count, now)
        ]
        if not runs:
            return 0
        if publisher.serving is None:
            return self._send_again(publisher, runs, now)
        if not publisher.serving.knows():
            return 0
        # A plain worker has taken it, with or without its fence: to send it again is to run it.
        untracked = publisher.untracked({run.queue for run in runs if not run.reporting})
        taken = [run.pk for run in runs if run.queue in untracked and not run.reporting]
        hand_over(taken, now=now, error="a worker without the ledger may have taken its message")
        # Where none of ours is there nobody could check the fence of a second message.
        ours = publisher.serving.served_by_ours() - untracked
        fenced = [run for run in runs if run.reporting or run.queue in ours]
        return self._send_again(publisher, fenced, now)

    def _send_again(self, publisher: Publisher, runs: Sequence[Run], now: datetime) -> int:
        sent = publisher.publish(runs[:MOST_A_SWEEP], now=now)
        if sent:
            logger.info("messages_missing", extra={"scope": self.scope, "republished": sent})
        return sent

    def _next_queues(self, now: datetime) -> list[str]:
        """Return the next of the queues in which something has been waiting for a while."""
        waiting = self._published().filter(published_at__lt=now - FIRST_WAIT)
        names = waiting.order_by("queue").values_list("queue", flat=True).distinct()
        queues = list(names.filter(queue__gt=self._looked_until)[:MOST_QUEUES])
        self._looked_until = queues[-1] if len(queues) == MOST_QUEUES else ""
        return queues

    def _missing(self, queues: list[str]) -> Counter[str]:
        published = self._published().filter(queue__in=queues).order_by().values_list("queue")
        expected: Counter[str] = Counter(dict(published.annotate(Count("id"))))
        if not expected:
            return expected
        try:
            depths = self._depths(expected)
        except (OperationalError, OSError):
            return Counter()  # nothing is known of a broker that does not answer
        expected.subtract(depths)
        expected.subtract(self._reserved())
        # How many runs the messages of a batched task stand for only an empty queue tells.
        unclear = {queue for queue in self._batched(queues) if depths[queue]}
        return +Counter({queue: n for queue, n in expected.items() if queue not in unclear})

    def _batched(self, queues: list[str]) -> set[str]:
        """Return those of the queues in which a message may stand for several runs."""
        published = self._published().filter(queue__in=queues).order_by()
        pairs = published.values_list("queue", "task").distinct()
        return {queue for queue, task in pairs if size_for(self.app, task) > 1}

    def _published(self) -> RunQuerySet:
        """Queued runs with a message that may be sent again, and whose queue is known."""
        return (
            Run.objects.open(RunState.QUEUED)
            .filter(scope=self.scope, published_at__isnull=False)
            .exclude(ROUTED)
            .exclude(reporting=Reporting.END_ONLY)
        )

    def _depths(self, queues: Iterable[str]) -> dict[str, int]:
        with self.app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
            return {queue: depth(connection, queue) for queue in queues}

    def _reserved(self) -> Counter[str]:
        held: Counter[str] = Counter()
        live = WorkerProcess.objects.live().filter(scope=self.scope)
        for reserved in live.values_list("reserved", flat=True):
            held.update(reserved)
        return held

    def _oldest(self, queue: str, count: int, now: datetime) -> list[Run]:
        """Return the oldest of a queue whose wait, doubled by each sending, is over."""
        rows = self._published().filter(queue=queue, published_at__lt=now - FIRST_WAIT)
        most = 2 * min(count, MOST_A_SWEEP)
        oldest = read_runs(rows.order_by("published_at"), limit=most, now=now)
        return those_that(partial(_is_over, now=now), oldest, now=now)[:count]


def depth(connection: Connection, queue: str) -> int:
    """Return how many messages wait in a queue; 0 for one that does not exist."""
    with connection.channel() as channel:
        try:
            declared = channel.queue_declare(queue=queue, passive=True)  # type: ignore[attr-defined] # virtual and AMQP channels both have it
            return int(declared.message_count)
        except (ChannelError, NotFound):
            return 0


def _is_over(run: Run, *, now: datetime) -> bool:
    if run.published_at is None:
        return False
    wait: timedelta = FIRST_WAIT * 2 ** min(run.publish_count - 1, 10)
    return now - run.published_at >= wait
