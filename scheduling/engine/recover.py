"""Recovers: ends what waited or ran too long, takes what the lost held, sends what never went."""

import logging
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db.models import Q, QuerySet

from scheduling.ending import UNSTARTABLE
from scheduling.engine.aside import for_runs, read_runs, those_that
from scheduling.engine.liveness import Liveness
from scheduling.engine.publishing.publish import Publisher
from scheduling.fence import Fence
from scheduling.models import Attempt, Run, WorkerProcess
from scheduling.models.job import Reporting
from scheduling.models.run import OUT_OF_HAND, ROUTED
from scheduling.states import RunState, SkipReason
from scheduling.transitions import (
    end_stopping,
    fail_unstarted,
    give_up_unreported,
    lose,
    release,
    skip,
    time_out,
)

logger = logging.getLogger(__name__)

BATCH = 500
SILENCE_MARGIN = timedelta(seconds=5)
UNSTARTABLE_GRACE = timedelta(seconds=60)
MOST_DOUBLINGS = 8
PUBLISH_LEASE = timedelta(seconds=5)  # a claimer has this long to publish before others may


def expire_waiting(scope: str, *, now: datetime) -> int:
    """Skip runs whose first attempt did not start in time (SPEC A9); return how many.

    Those that no worker can start are not late: they fail, and say so.
    """
    unstarted = Run.objects.open(RunState.PENDING, RunState.READY, RunState.QUEUED)
    late = unstarted.filter(scope=scope, attempt__lte=1, started_at=None, expires_at__lt=now)
    late = late.exclude(OUT_OF_HAND).exclude(state=RunState.QUEUED, error_code__in=UNSTARTABLE)
    return sum(for_runs(_ids(late), partial(skip, reason=SkipReason.EXPIRED, now=now), now=now))


def end_unreported(scope: str, *, now: datetime) -> int:
    """End runs of foreign workers whose report did not come in time; return how many."""
    late = Run.objects.open(RunState.QUEUED).filter(OUT_OF_HAND, scope=scope, deadline_at__lte=now)
    ended = for_runs(_ids(late), partial(give_up_unreported, now=now), now=now)
    return sum(map(len, ended))


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


def take_from_silent_reporters(
    scope: str, liveness: Liveness, *, now: datetime, monotonic: float
) -> int:
    """Take runs from foreign workers that let their lease run out; return how many."""
    theirs = Run.objects.open(RunState.RUNNING, RunState.STOPPING)
    theirs = theirs.filter(scope=scope, reporting=Reporting.FULL)
    fences = {
        attempt_id: Fence(pk, number)
        for attempt_id, pk, number in theirs.values_list("attempt_id", "id", "attempt")
        if attempt_id is not None
    }
    renewals = Attempt.objects.filter(id__in=fences).values_list("id", "renewals")
    seen = dict(renewals)
    silent = liveness.observe(seen, monotonic=monotonic)
    if not silent:
        return 0
    # A renewal that arrived meanwhile proves it alive.
    gone = [fences[pk] for pk, count in renewals.all() if pk in silent and seen[pk] == count]
    taken = for_runs(gone, partial(lose, now=now), now=now)
    taken += for_runs(gone, partial(end_stopping, now=now, seen_gone=False), now=now)
    return sum(map(len, taken))


def _take_runs(scope: str, now: datetime) -> int:
    """Take whatever still runs on a worker that is gone: also what an earlier crash left."""
    running = Run.objects.open(RunState.RUNNING).filter(scope=scope)
    running = running.exclude(reporting=Reporting.FULL)  # its worker is none of ours
    lost_or_none = Q(worker=None) | Q(worker__lost_at__isnull=False)
    left = running.filter(lost_or_none | Q(worker__stopped_at__isnull=False)).order_by("id")
    rows = list(left.values_list("id", "attempt", "worker_id", "worker__lost_at")[:BATCH])
    lost = [Fence(run, attempt) for run, attempt, worker, lost_at in rows if lost_at or not worker]
    stopped = [
        Fence(run, attempt) for run, attempt, worker, lost_at in rows if worker and not lost_at
    ]
    taken = for_runs(lost, partial(lose, now=now), now=now)
    taken += for_runs(stopped, partial(release, now=now), now=now)
    return sum(map(len, taken))


def stop_overdue(scope: str, *, now: datetime) -> int:
    """Tell what is past its deadline to stop, should its worker not have done so itself."""
    overdue = Run.objects.open(RunState.RUNNING).filter(scope=scope, deadline_at__lt=now)
    return sum(for_runs(_fences(overdue), partial(time_out, now=now), now=now))


def end_unconfirmed_stops(scope: str, *, now: datetime) -> int:
    """End what was told to stop on a worker that has been silent for its lease and some more."""
    stopping = Run.objects.open(RunState.STOPPING).filter(scope=scope)
    stopping = stopping.exclude(reporting=Reporting.FULL)
    silent_since = now - SILENCE_MARGIN
    silent = stopping.filter(
        Q(worker=None)
        | Q(worker__lost_at__lt=silent_since)
        | Q(worker__stopped_at__lt=silent_since)
    )
    end = partial(end_stopping, now=now, seen_gone=False)
    return sum(map(len, for_runs(_fences(silent), end, now=now)))


def fail_unstartable(scope: str, *, now: datetime) -> int:
    """End runs that no worker could start for a while; a deployment may have been under way.

    That while is over when the run would expire.
    """
    refused = Run.objects.open(RunState.QUEUED).filter(scope=scope, error_code__in=UNSTARTABLE)
    over = Q(queued_at__lt=now - UNSTARTABLE_GRACE) | Q(attempt__lte=1, expires_at__lt=now)
    return sum(for_runs(_ids(refused.filter(over)), partial(fail_unstarted, now=now), now=now))


def _ids(runs: QuerySet[Run]) -> list[UUID]:
    return list(runs.order_by("id").values_list("id", flat=True)[:BATCH])


def _fences(runs: QuerySet[Run]) -> list[Fence]:
    return [Fence(*pair) for pair in runs.order_by("id").values_list("id", "attempt")[:BATCH]]


def publish_unsent(scope: str, publisher: Publisher, *, now: datetime) -> int:
    """Send the messages whose claimer died, or had no broker, before it could; return how many."""
    unsent = Run.objects.open(RunState.QUEUED).filter(
        scope=scope, published_at=None, queued_at__lt=now - PUBLISH_LEASE
    )
    held = publisher.held_back(unsent.order_by().values_list("queue", flat=True).distinct())
    worth_it = unsent.exclude(Q(queue__in=held) & ~ROUTED) if held else unsent
    # Runs whose message was refused come last, or they would fill the batch.
    in_order = read_runs(worth_it.order_by("publish_count", "priority", "id"), limit=BATCH, now=now)
    tried = those_that(partial(_is_worth_a_try, now=now), in_order, now=now)
    return publisher.publish(tried, now=now)


def _is_worth_a_try(run: Run, *, now: datetime) -> bool:
    """What was refused is tried again after a wait that doubles."""
    if run.queued_at is None:
        return False
    wait: timedelta = PUBLISH_LEASE * 2 ** min(run.publish_count, MOST_DOUBLINGS)
    return now - run.queued_at >= wait
