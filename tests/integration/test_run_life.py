"""A run's way from ready to its verdict, and who may take it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from scheduling.clock import database_now
from scheduling.ending import PROCESS_LOST, Ending
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.recover import fail_unstartable
from scheduling.engine.resolve import resolve_waiting
from scheduling.fence import Fence
from scheduling.models import Attempt, Job, JobStatus, Run, RunEvent, SkippedTicks, WorkerProcess
from scheduling.retry import RetryWish
from scheduling.states import Outcome, RunState, SkipReason
from scheduling.transitions import finish, lose, note_unknown_task, release, skip, start
from tests.claims import claim_all
from tests.conftest import JobMaker


@pytest.fixture
def worker(db: None) -> WorkerProcess:
    del db
    return WorkerProcess.objects.create(
        scope="real", hostname="w@test", pid=1, pool="prefork", concurrency=2, can_stop=True,
        started_at=database_now(),
    )  # fmt: skip


def planned(job: Job) -> datetime:
    job.refresh_from_db()
    assert job.next_due_at is not None
    plan_due_jobs("real", now=job.next_due_at)
    return job.next_due_at


def started(job: Job, worker: WorkerProcess) -> tuple[Run, Fence, datetime]:
    now = planned(job)
    (run,) = claim_all(now=now)
    fence = run.fence
    assert start([fence], worker_id=worker.pk, now=now) == {fence}
    run.refresh_from_db()
    return run, fence, now


def failed(fence: Fence, **given: object) -> Ending:
    values = {"error": "boom", "error_code": "ValueError", **given}
    return Ending(fence=fence, outcome=Outcome.FAILED, **values)  # type: ignore[arg-type] # a test's shorthand


def process_lost(fence: Fence) -> Ending:
    return Ending(fence=fence, outcome=Outcome.LOST, error_code=PROCESS_LOST)


def test_a_run_goes_from_ready_to_done(make_job: JobMaker, worker: WorkerProcess) -> None:
    run, fence, now = started(make_job(), worker)
    ending = Ending(fence=fence, outcome=Outcome.DONE, result={"rows": 3})
    assert finish([ending], now=now) == {fence}
    run.refresh_from_db()
    assert (run.state, run.result, run.finished_at) == (RunState.DONE, {"rows": 3}, now)
    assert Attempt.objects.get().outcome == Outcome.DONE
    assert JobStatus.objects.get().last_status == "done"
    assert [event.kind for event in RunEvent.objects.order_by("id")] == [
        "job_started",
        "job_completed",
    ]


def test_a_message_delivered_twice_starts_once(make_job: JobMaker, worker: WorkerProcess) -> None:
    _, fence, now = started(make_job(), worker)
    assert start([fence], worker_id=worker.pk, now=now) == set()
    assert Attempt.objects.count() == 1


def test_an_attempt_that_was_never_claimed_does_not_start(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    now = planned(make_job())
    run = Run.objects.get()
    assert start([Fence(run.pk, 1), Fence(uuid4(), 1)], worker_id=worker.pk, now=now) == set()


def test_a_worker_that_was_given_up_starts_nothing(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    now = planned(make_job())
    (run,) = claim_all(now=now)
    WorkerProcess.objects.update(lost_at=now)
    assert start([Fence(run.pk, 1)], worker_id=worker.pk, now=now) == set()


def test_the_slots_of_a_job_are_never_exceeded(make_job: JobMaker) -> None:
    job = make_job(overlap="queue", max_parallel=2)
    for _ in range(5):
        now = planned(job)
    assert len(claim_all(now=now)) == 2
    assert claim_all(now=now) == []
    assert Run.objects.filter(state=RunState.READY).count() == 3


def test_runs_are_claimed_by_priority_and_then_by_age(make_job: JobMaker) -> None:
    low = make_job("low", priority=9)
    high = make_job("high", priority=1)
    planned(low)
    now = planned(high)
    assert [run.job_id for run in claim_all(now=now)] == [high.pk, low.pk]


def test_a_limited_job_does_not_keep_those_behind_it_from_their_slots(make_job: JobMaker) -> None:
    many = make_job("many", overlap="queue")
    for _ in range(3):
        planned(many)
    now = planned(make_job("other"))
    assert {run.job_id for run in claim_all(now=now)} == set(
        Job.objects.values_list("pk", flat=True)
    )


def test_a_failed_attempt_waits_in_the_database_and_runs_again(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    job = make_job(max_retries=2, retry_base=timedelta(seconds=60))
    run, fence, now = started(job, worker)
    finish([failed(fence)], now=now)
    run.refresh_from_db()
    assert (run.state, run.next_attempt_at) == (RunState.PENDING, now + timedelta(seconds=60))
    assert resolve_waiting("real", now=now + timedelta(seconds=59)) == 0
    later = now + timedelta(seconds=60)
    assert resolve_waiting("real", now=later) == 1
    (again,) = claim_all(now=later)
    assert (again.pk, again.attempt) == (run.pk, 2)
    assert again.attempt_id != run.attempt_id
    assert start([Fence(run.pk, 2)], worker_id=worker.pk, now=later)


def test_a_run_fails_when_its_retries_are_used_up(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    run, fence, now = started(make_job(max_retries=0), worker)
    finish([failed(fence)], now=now)
    run.refresh_from_db()
    assert (run.state, run.reason, run.error) == (RunState.FAILED, "ValueError", "boom")


def test_a_task_that_declares_a_retry_gets_it_without_a_policy(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    run, fence, now = started(make_job(), worker)
    finish([failed(fence, wish=RetryWish(countdown=timedelta(seconds=5)))], now=now)
    run.refresh_from_db()
    assert run.next_attempt_at == now + timedelta(seconds=5)


def test_a_late_result_of_an_attempt_that_was_given_away_changes_nothing(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    run, fence, now = started(make_job(), worker)
    assert lose([fence], now=now) == {fence}
    late = Ending(fence=fence, outcome=Outcome.DONE, result="late")
    assert finish([late], now=now) == set()
    run.refresh_from_db()
    assert (run.state, run.reason, run.result) == (RunState.PENDING, "worker_lost", None)
    assert Attempt.objects.get().outcome == Outcome.LOST


def test_a_run_that_lost_two_workers_fails(make_job: JobMaker, worker: WorkerProcess) -> None:
    run, fence, now = started(make_job(), worker)
    lose([fence], now=now)
    resolve_waiting("real", now=now)
    claim_all(now=now)
    start([Fence(run.pk, 2)], worker_id=worker.pk, now=now)
    lose([Fence(run.pk, 2)], now=now)
    run.refresh_from_db()
    assert (run.state, run.error_code) == (RunState.FAILED, "WorkerLost")


def test_a_task_that_kills_its_process_each_time_ends_and_trips_its_job(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    run, fence, now = started(make_job(max_consecutive_errors=2), worker)
    for attempt in (1, 2):
        fence = Fence(run.pk, attempt)
        assert finish([process_lost(fence)], now=now) == {fence}
        resolve_waiting("real", now=now)
        start([again.fence for again in claim_all(now=now)], worker_id=worker.pk, now=now)
    run.refresh_from_db()
    assert (run.state, run.reason, run.error_code) == ("failed", "process_lost", "ProcessLost")
    assert (run.attempt, run.retry_count, run.lost_count) == (2, 0, 2)
    assert JobStatus.objects.get().tripped_at == now


def test_a_worker_that_vanishes_does_not_count_against_the_job(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    _, fence, now = started(make_job(), worker)
    lose([fence], now=now)
    assert JobStatus.objects.get().consecutive_errors == 0


@pytest.mark.parametrize("report", [failed, process_lost])
def test_an_error_code_that_the_job_says_not_to_retry_fails_at_once(
    make_job: JobMaker, worker: WorkerProcess, report: Callable[[Fence], Ending]
) -> None:
    codes = ["ValueError", "ProcessLost"]
    run, fence, now = started(make_job(max_retries=5, non_retryable_codes=codes), worker)
    finish([report(fence)], now=now)
    run.refresh_from_db()
    assert (run.state, run.attempt) == (RunState.FAILED, 1)


def test_another_error_code_is_retried(make_job: JobMaker, worker: WorkerProcess) -> None:
    job = make_job(max_retries=5, non_retryable_codes=["Forbidden"])
    run, fence, now = started(job, worker)
    finish([failed(fence)], now=now)
    run.refresh_from_db()
    assert run.state == RunState.PENDING


def test_a_run_that_waits_for_its_next_attempt_is_in_progress(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    job = make_job(max_retries=1, retry_base=timedelta(minutes=5))
    run, fence, now = started(job, worker)
    finish([failed(fence)], now=now)
    planned(job)
    assert Run.objects.get() == run
    assert SkippedTicks.objects.get().reason == "overlap"


def test_the_third_failed_attempt_in_a_row_trips_the_job(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    job = make_job()
    for _ in range(3):
        _, fence, now = started(job, worker)
        finish([failed(fence)], now=now)
    status = JobStatus.objects.get()
    assert (status.consecutive_errors, status.tripped_at) == (3, now)


def test_an_operator_is_told_once_that_a_breaker_has_tripped(
    make_job: JobMaker,
    worker: WorkerProcess,
    caplog: pytest.LogCaptureFixture,
    django_capture_on_commit_callbacks: Any,
) -> None:
    job = make_job(breaker_cooldown=timedelta(seconds=1))
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(5):
            _, fence, now = started(job, worker)
            finish([failed(fence)], now=now)
    told = [record for record in caplog.records if record.getMessage() == "breaker_tripped"]
    assert [(r.levelname, r.job_id, r.scope, r.errors) for r in told] == [  # type: ignore[attr-defined] # from `extra`
        ("WARNING", "job", "real", 3)
    ]


def test_a_failed_trial_opens_the_breaker_again_and_no_other_job_is_held_back(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    tripped = make_job("tripped")
    for _ in range(3):
        _, fence, now = started(tripped, worker)
        finish([failed(fence)], now=now)
    other = make_job("other")
    trial_at = now + tripped.breaker_cooldown
    plan_due_jobs("real", now=trial_at)
    fences = {run.job_id: run.fence for run in claim_all(now=trial_at)}
    start(fences.values(), worker_id=worker.pk, now=trial_at)
    done = Ending(fence=fences[other.pk], outcome=Outcome.DONE)
    finish([failed(fences[tripped.pk]), done], now=trial_at)
    assert JobStatus.objects.get(job=tripped).tripped_at == trial_at
    plan_due_jobs("real", now=trial_at + timedelta(seconds=10))
    assert [run.job_id for run in Run.objects.open()] == [other.pk]
    assert SkippedTicks.objects.filter(job=tripped).latest("until").reason == "breaker_open"


def test_a_success_closes_the_breaker(make_job: JobMaker, worker: WorkerProcess) -> None:
    job = make_job()
    _, fence, now = started(job, worker)
    JobStatus.objects.update(consecutive_errors=2, tripped_at=now)
    finish([Ending(fence=fence, outcome=Outcome.DONE)], now=now)
    status = JobStatus.objects.get()
    assert (status.consecutive_errors, status.tripped_at) == (0, None)


def test_a_running_run_cannot_be_skipped(make_job: JobMaker, worker: WorkerProcess) -> None:
    run, _, now = started(make_job(), worker)
    assert skip([run.pk], SkipReason.PAUSED, now=now) == 0


def test_a_worker_that_knows_the_task_clears_what_one_that_did_not_had_noted(
    make_job: JobMaker, worker: WorkerProcess
) -> None:
    now = planned(make_job())
    (run,) = claim_all(now=now)
    fence = Fence(run.pk, 1)
    assert note_unknown_task([fence], error="no worker knows it") == {fence}
    start([fence], worker_id=worker.pk, now=now)
    release([fence], now=now)
    claim_all(now=now)
    assert fail_unstartable("real", now=now + timedelta(minutes=5)) == 0
    run.refresh_from_db()
    assert (run.state, run.error, run.error_code) == (RunState.QUEUED, "", "")
