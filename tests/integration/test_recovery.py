"""What the beat mends: late runs, lost workers, messages that never went."""

from datetime import datetime, timedelta

from celery import current_app

from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.engine.events.sequence import number_events
from scheduling.engine.liveness import Liveness
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.publishing.publish import Publisher
from scheduling.engine.recover import (
    end_unconfirmed_stops,
    expire_waiting,
    publish_unsent,
    stop_overdue,
    take_from_lost_workers,
)
from scheduling.fence import Fence
from scheduling.models import AuditEntry, Job, Run, RunEvent, WorkerProcess
from scheduling.states import RunState
from scheduling.transitions import end_stopping, start
from tests.claims import claim_all
from tests.conftest import JobMaker
from tests.servers import free_port


def claimed(job: Job) -> tuple[Run, datetime]:
    now = job.next_due_at
    assert now is not None
    plan_due_jobs("real", now=now)
    (run,) = claim_all(now=now)
    return run, now


def worker_at(now: datetime) -> WorkerProcess:
    return WorkerProcess.objects.create(
        scope="real", hostname="w", pid=1, pool="prefork", concurrency=1, can_stop=True,
        started_at=now,
    )  # fmt: skip


def test_a_run_that_did_not_start_in_time_is_skipped_as_expired(make_job: JobMaker) -> None:
    run, now = claimed(make_job())
    assert expire_waiting("real", now=now + timedelta(seconds=8)) == 0
    assert expire_waiting("real", now=now + timedelta(seconds=8.1)) == 1
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.SKIPPED, "expired")


def test_an_expired_attempt_does_not_start_even_before_the_beat_looks(make_job: JobMaker) -> None:
    run, now = claimed(make_job())
    late = now + timedelta(seconds=9)
    assert start([Fence(run.pk, 1)], worker_id=worker_at(now).pk, now=late) == set()


def test_a_worker_that_stops_beating_loses_its_runs(make_job: JobMaker) -> None:
    run, now = claimed(make_job())
    worker = worker_at(now)
    start([Fence(run.pk, 1)], worker_id=worker.pk, now=now)
    liveness = Liveness(loop_seconds=1)
    taken = [
        take_from_lost_workers("real", liveness, now=now, monotonic=float(second))
        for second in range(10)
    ]
    assert taken == [0] * 8 + [1, 0]
    run.refresh_from_db()
    worker.refresh_from_db()
    assert (run.state, worker.lost_at) == (RunState.PENDING, now)


def test_a_worker_that_beats_keeps_its_runs(make_job: JobMaker) -> None:
    run, now = claimed(make_job())
    worker = worker_at(now)
    start([Fence(run.pk, 1)], worker_id=worker.pk, now=now)
    liveness = Liveness(loop_seconds=1)
    for second in range(20):
        WorkerProcess.objects.update(beat_no=second // 3)
        assert take_from_lost_workers("real", liveness, now=now, monotonic=float(second)) == 0


def test_what_a_stopped_worker_left_is_released_and_not_charged(make_job: JobMaker) -> None:
    run, now = claimed(make_job())
    worker = worker_at(now)
    start([Fence(run.pk, 1)], worker_id=worker.pk, now=now)
    WorkerProcess.objects.update(stopped_at=now)
    assert take_from_lost_workers("real", Liveness(loop_seconds=1), now=now, monotonic=0.0) == 1
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.READY, "worker_stopped")
    assert (run.retry_count, run.lost_count) == (0, 0)
    assert run.attempts.get().outcome == "released"


def test_a_run_past_its_deadline_is_told_to_stop_and_keeps_its_slot(make_job: JobMaker) -> None:
    run, now = claimed(make_job(timeout=timedelta(seconds=10), max_retries=0))
    start([Fence(run.pk, 1)], worker_id=worker_at(now).pk, now=now)
    assert stop_overdue("real", now=now + timedelta(seconds=39)) == 0
    assert stop_overdue("real", now=now + timedelta(seconds=41)) == 1
    run.refresh_from_db()
    assert run.state == RunState.STOPPING
    assert Run.objects.holding_slot().get() == run
    assert run.attempts.get().stop_for == "timeout"


def test_a_run_that_is_cancelled_while_it_stops_at_its_deadline_is_not_tried_again(
    make_job: JobMaker, operator: Operator
) -> None:
    run, now = claimed(make_job(timeout=timedelta(seconds=10), max_retries=3))
    fence = Fence(run.pk, 1)
    start([fence], worker_id=worker_at(now).pk, now=now)
    stop_overdue("real", now=now + timedelta(seconds=41))
    (told,) = cancel_runs([run.pk], operator)
    assert (told.state, told.reason) == (RunState.STOPPING, "cancelled by tester")
    assert cancel_runs([run.pk], operator) == []
    end_stopping([fence], now=now + timedelta(seconds=42), seen_gone=True)
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.CANCELLED, "cancelled by tester")
    assert run.attempts.get().outcome == "cancelled"
    assert AuditEntry.objects.filter(action="cancel_run").count() == 1


def test_a_stop_that_a_silent_worker_never_confirmed_ends_behind_a_margin(
    make_job: JobMaker,
) -> None:
    run, now = claimed(make_job(timeout=timedelta(seconds=10), max_retries=0))
    start([Fence(run.pk, 1)], worker_id=worker_at(now).pk, now=now)
    stop_overdue("real", now=now + timedelta(seconds=41))
    WorkerProcess.objects.update(lost_at=now)
    assert end_unconfirmed_stops("real", now=now + timedelta(seconds=4)) == 0
    assert end_unconfirmed_stops("real", now=now + timedelta(seconds=6)) == 1
    run.refresh_from_db()
    assert (run.state, run.error_code) == (RunState.TIMEOUT, "TimeLimitExceeded")
    assert run.attempts.get().gone_at is None


def test_without_a_broker_nothing_is_lost_and_nothing_counts_as_sent(make_job: JobMaker) -> None:
    run, now = claimed(make_job())
    nowhere = current_app.__class__("nowhere", broker=f"redis://127.0.0.1:{free_port()}/0")
    publisher = Publisher(nowhere)
    assert publisher.publish([run], now=now) == 0
    assert not publisher.available
    assert publish_unsent("real", publisher, now=now + timedelta(seconds=6)) == 0
    run.refresh_from_db()
    assert (run.state, run.published_at) == (RunState.QUEUED, None)


def test_events_are_numbered_without_a_gap(make_job: JobMaker) -> None:
    for n in range(3):
        job = make_job(f"job-{n}")
        run, now = claimed(job)
        start([Fence(run.pk, 1)], worker_id=worker_at(now).pk, now=now)
    assert number_events() == 3
    assert number_events() == 0
    assert list(RunEvent.objects.order_by("id").values_list("seq", flat=True)) == [1, 2, 3]
