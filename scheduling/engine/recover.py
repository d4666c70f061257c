"""Recovers: ends what waited too long, takes runs from lost workers, sends what never went."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from scheduling.engine.liveness import Liveness
from scheduling.engine.publish import Publisher
from scheduling.models import Run, WorkerProcess
from scheduling.states import RunState, SkipReason
from scheduling.transitions import lose, skip

logger = logging.getLogger(__name__)

BATCH = 500
PUBLISH_LEASE = timedelta(seconds=5)  # a claimer has this long to publish before others may


def expire_waiting(scope: str, *, now: datetime) -> int:
    """Skip runs whose first attempt did not start in time (SPEC A9); return how many."""
    unstarted = Run.objects.open(RunState.PENDING, RunState.READY, RunState.QUEUED)
    late = unstarted.filter(scope=scope, attempt__lte=1, started_at=None, expires_at__lt=now)
    ids = list(late.order_by("id").values_list("id", flat=True)[:BATCH])
    return skip(ids, SkipReason.EXPIRED, now=now) if ids else 0


def take_from_lost_workers(
    scope: str, liveness: Liveness, *, now: datetime, monotonic: float
) -> int:
    """Find the workers that stopped beating and give their runs back; return how many runs."""
    live = WorkerProcess.objects.live().filter(scope=scope)
    beats = dict(live.values_list("id", "beat_no"))
    for worker_id in liveness.observe(beats, monotonic=monotonic):
        # Compare-and-set: a beat that arrived meanwhile proves it alive.
        if live.filter(id=worker_id, beat_no=beats[worker_id]).update(lost_at=now):
            logger.warning("worker_lost", extra={"worker_id": str(worker_id), "scope": scope})
    return _take_runs(scope, now)


def _take_runs(scope: str, now: datetime) -> int:
    """Take whatever runs on a worker that is lost or stopped: also what an earlier crash left."""
    orphans = Run.objects.open(RunState.RUNNING).filter(scope=scope)
    gone = orphans.filter(worker__lost_at__isnull=False) | orphans.filter(
        worker__stopped_at__isnull=False
    )
    ids: list[UUID] = list(gone.order_by("id").values_list("id", flat=True)[:BATCH])
    return lose(ids, now=now) if ids else 0


def publish_unsent(scope: str, publisher: Publisher, *, now: datetime) -> int:
    """Send the messages whose claimer died, or had no broker, before it could; return how many."""
    unsent = Run.objects.open(RunState.QUEUED).filter(
        scope=scope, published_at=None, queued_at__lt=now - PUBLISH_LEASE
    )
    runs = list(unsent.in_claim_order()[:BATCH])
    return publisher.publish(runs, now=now) if runs else 0
