"""Jobs without a task: what their messages say, and what becomes of a run by what is reported."""

import json
from datetime import timedelta
from typing import Any

import pytest
import redis

from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.pause_job import pause_job
from scheduling.client import JobMessage, parse_job_message
from scheduling.clock import database_now
from scheduling.engine.liveness import LEASE_SECONDS, Liveness
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.publishing.publish import Publisher
from scheduling.engine.publishing.republish import MissingMessages
from scheduling.engine.recover import (
    end_unreported,
    expire_waiting,
    publish_unsent,
    stop_overdue,
    take_from_silent_reporters,
)
from scheduling.engine.resolve import resolve_waiting
from scheduling.explain.run import explain_run
from scheduling.models import Attempt, Job, Run
from scheduling.queues import FOREIGN_TASK
from scheduling.states import RunState
from tests.claims import claim_ready
from tests.conftest import OPERATOR, JobMaker

QUEUE = "real.jobs.job"
JSON: Any = {"content_type": "application/json"}


@pytest.fixture
def make_foreign(make_job: JobMaker) -> JobMaker:
    def make(job_id: str = "job", **given: Any) -> Job:
        return make_job(job_id, task=FOREIGN_TASK, **given)

    return make


def tick(publisher: Publisher, *, at: Any) -> list[Run]:
    """Plan what is due, claim and publish it; return what was claimed."""
    plan_due_jobs("real", now=at)
    resolve_waiting("real", now=at)
    claimed = claim_ready("real", now=at)
    publisher.publish(claimed, now=at)
    return claimed


def take(valkey: redis.Redis, queue: str = QUEUE) -> JobMessage:
    """Take a message as a worker without kombu does."""
    raw: Any = valkey.rpop(queue)
    return parse_job_message(raw)


def in_queue(valkey: redis.Redis, queue: str = QUEUE) -> int:
    found: Any = valkey.llen(queue)
    return int(found)


def test_a_message_is_plain_json(
    publisher: Publisher, valkey: redis.Redis, make_foreign: JobMaker
) -> None:
    job = make_foreign(every=600, params={"scan_mode": "swing"}, max_retries=2)
    due = job.next_due_at
    assert due is not None
    [run] = tick(publisher, at=due)
    envelope: Any = json.loads(valkey.lindex(QUEUE, 0))  # type: ignore[arg-type]
    assert envelope["content-type"] == "application/json"
    assert json.loads(json.dumps(take(valkey).__dict__, default=str)) == {
        "job_id": "job",
        "scope": "real",
        "run_id": str(run.pk),
        "attempt": 1,
        "trigger_source": "scheduler",
        "params": {"scan_mode": "swing"},
        "next_delay_sec": 600.0,
        "timeout_sec": 1800.0,
        "max_attempts": 3,
        "expires_at": str(due + timedelta(seconds=480)),
    }


def test_a_run_is_out_of_hand_until_its_end_is_reported(
    publisher: Publisher, make_foreign: JobMaker, caller: Any
) -> None:
    job = make_foreign()
    [run] = tick(publisher, at=job.next_due_at)
    answer = caller().post("/jobs/job/last-run", **JSON)
    assert answer.json() == {"job_id": "job", "run_id": str(run.pk), "status": "done"}
    run.refresh_from_db()
    assert (run.state, run.started_at) == (RunState.DONE, job.next_due_at)
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.worker) == ("done", None)
    job.status.refresh_from_db()
    assert job.status.last_status == "done"


def test_a_failure_is_retried_by_the_jobs_policy(
    publisher: Publisher, valkey: redis.Redis, make_foreign: JobMaker, caller: Any
) -> None:
    job = make_foreign(max_retries=1, retry_base=timedelta(seconds=5))
    at = job.next_due_at
    assert at is not None
    [run] = tick(publisher, at=at)
    failed = {
        "status": "failed",
        "error": "HTTP 500 from api_key=abcdefgh12345678",
        "error_code": "UPSTREAM",
    }
    assert caller().post("/jobs/job/last-run", failed, **JSON).json()["status"] == "failed"
    run.refresh_from_db()
    assert (run.state, run.error_code, run.retry_count) == (RunState.PENDING, "UPSTREAM", 1)
    assert "abcdefgh12345678" not in run.error
    assert take(valkey).attempt == 1
    resolve_waiting("real", now=database_now() + timedelta(seconds=6))
    publisher.publish(claim_ready("real", now=database_now()), now=database_now())
    again = take(valkey)
    assert (again.attempt, again.trigger_source, again.expires_at) == (2, "retry", None)
    assert caller().post("/jobs/job/last-run", {"status": "failed"}, **JSON).status_code == 200
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.FAILED, "ReportedFailure")
    assert [a.outcome for a in Attempt.objects.order_by("number")] == ["failed", "failed"]


def test_a_report_closes_the_oldest_open_run_and_none_is_no_error(
    publisher: Publisher, make_foreign: JobMaker, caller: Any
) -> None:
    job = make_foreign(max_parallel=2)
    at = job.next_due_at
    assert at is not None
    [first] = tick(publisher, at=at)
    [second] = tick(publisher, at=at + timedelta(seconds=10))
    client = caller()
    reported = [client.post("/jobs/job/last-run", **JSON).json()["run_id"] for _ in range(3)]
    assert reported == [str(first.pk), str(second.pk), None]
    client.post("/jobs/job/last-run", {"error": "no"}, **JSON)
    job.status.refresh_from_db()
    assert (job.status.last_status, job.status.last_error) == ("failed", "no")


def test_it_holds_later_ticks_back_until_it_expires_and_its_slot_until_the_deadline(
    publisher: Publisher, make_foreign: JobMaker
) -> None:
    job = make_foreign(timeout=timedelta(seconds=15))
    at = job.next_due_at
    assert at is not None
    [run] = tick(publisher, at=at)
    run.refresh_from_db()
    assert run.deadline_at == at + timedelta(seconds=8 + 15)
    [later] = tick(publisher, at=at + timedelta(seconds=10))
    assert later.job == job
    assert expire_waiting("real", now=at + timedelta(seconds=10)) == 0
    just_before = at + timedelta(seconds=22.9)
    assert end_unreported("real", now=just_before) == 0
    assert end_unreported("real", now=at + timedelta(seconds=23)) == 1
    run.refresh_from_db()
    assert (run.state, run.reason, run.retry_count) == (RunState.TIMEOUT, "no_report", 1)
    assert "no worker reported its end" in run.error


def test_within_its_expiry_the_next_tick_overlaps(
    publisher: Publisher, make_foreign: JobMaker
) -> None:
    job = make_foreign(expires_after=timedelta(seconds=30))
    at = job.next_due_at
    assert at is not None
    tick(publisher, at=at)
    assert tick(publisher, at=at + timedelta(seconds=10)) == []
    assert job.skipped_ticks.get().reason == "overlap"


def test_its_message_is_never_sent_again(
    publisher: Publisher, valkey: redis.Redis, make_foreign: JobMaker
) -> None:
    job = make_foreign()
    at = job.next_due_at
    assert at is not None
    tick(publisher, at=at)
    valkey.flushall()
    missing = MissingMessages(publisher.app, "real")
    for seconds in range(0, 60, 5):
        now = at + timedelta(seconds=seconds)
        publish_unsent("real", publisher, now=now)
        missing.sweep(publisher, now=now, monotonic=float(seconds))
    assert in_queue(valkey) == 0


def test_a_broker_that_was_away_gets_its_message_later(
    publisher: Publisher, valkey: redis.Redis, make_foreign: JobMaker
) -> None:
    job = make_foreign()
    at = job.next_due_at
    assert at is not None
    away = Publisher(type(publisher.app)("away", broker="redis://127.0.0.1:1/0"))
    [run] = tick(away, at=at)
    run.refresh_from_db()
    assert (run.published_at, run.deadline_at) == (None, None)
    publish_unsent("real", publisher, now=at + timedelta(seconds=6))
    assert take(valkey).run_id == str(run.pk)


def test_a_pause_leaves_what_a_worker_has(publisher: Publisher, make_foreign: JobMaker) -> None:
    job = make_foreign()
    [run] = tick(publisher, at=job.next_due_at)
    pause_job(job, OPERATOR)
    run.refresh_from_db()
    assert run.state == RunState.QUEUED


def test_explain_says_what_is_waited_for(publisher: Publisher, make_foreign: JobMaker) -> None:
    job = make_foreign()
    [run] = tick(publisher, at=job.next_due_at)
    run.refresh_from_db()
    gate = explain_run(run, now=database_now()).blocking
    assert gate is not None
    assert gate.name == "report"
    assert gate.until == run.deadline_at
    assert "last-run" in gate.remedy


@pytest.mark.parametrize("kind", ["celery", "full"])
def test_a_job_that_is_reported_otherwise_takes_no_last_run(
    make_job: JobMaker, caller: Any, kind: str
) -> None:
    if kind == "celery":
        make_job()
    else:
        make_job(task=FOREIGN_TASK, reporting="full")
    answer = caller().post("/jobs/job/last-run", **JSON)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_possible")


class TestReportedInFull:
    """A foreign worker that tells of the start, and that it goes on."""

    @pytest.fixture
    def job(self, make_foreign: JobMaker) -> Job:
        return make_foreign(
            reporting="full", timeout=timedelta(seconds=60), max_retries=1, params={"a": 1}
        )

    @pytest.fixture
    def run(self, job: Job, publisher: Publisher) -> Run:
        [run] = tick(publisher, at=job.next_due_at)
        return run

    @staticmethod
    def tell(client: Any, run: Run, what: str, attempt: int = 1, **body: Any) -> Any:
        return client.post(f"/api/runs/{run.pk}/{attempt}/{what}", body, **JSON)

    def test_from_start_to_end(self, caller: Any, run: Run, valkey: redis.Redis) -> None:
        client = caller()
        assert take(valkey).run_id == str(run.pk)
        answer = self.tell(client, run, "start", reporter="w1").json()
        run.refresh_from_db()
        assert answer["params"] == {"a": 1}
        assert answer["lease_sec"] == LEASE_SECONDS
        assert (run.state, run.worker) == (RunState.RUNNING, None)
        assert self.tell(client, run, "renew").json() == {"cancel": False, "reason": ""}
        ended = self.tell(client, run, "succeed", result={"rows": 3}).json()
        assert ended == {"run_id": str(run.pk), "state": "done"}
        run.refresh_from_db()
        assert run.result == {"rows": 3}
        attempt = Attempt.objects.get()
        assert (attempt.reporter, attempt.renewals, attempt.outcome) == ("w1", 1, "done")

    def test_only_one_starts_it_and_he_may_ask_twice(self, caller: Any, run: Run) -> None:
        client = caller()
        assert self.tell(client, run, "start", reporter="w1").status_code == 200
        assert self.tell(client, run, "start", reporter="w1").status_code == 200
        refused = self.tell(client, run, "start", reporter="w2")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_yours")
        assert Attempt.objects.count() == 1

    @pytest.mark.parametrize("what", ["renew", "succeed", "fail"])
    def test_what_was_not_started_cannot_go_on(self, caller: Any, run: Run, what: str) -> None:
        assert self.tell(caller(), run, what).status_code == 409
        run.refresh_from_db()
        assert run.state == RunState.QUEUED

    @pytest.mark.parametrize("what", ["succeed", "fail"])
    def test_an_end_may_be_told_again_by_whom_the_answer_did_not_reach(
        self, caller: Any, run: Run, what: str
    ) -> None:
        client = caller()
        self.tell(client, run, "start", reporter="w1")
        first, again = (self.tell(client, run, what) for _ in range(2))
        assert (first.status_code, again.status_code) == (200, 200)
        assert Attempt.objects.count() == 1
        other = {"succeed": "fail", "fail": "succeed"}[what]
        assert self.tell(client, run, other).status_code == 409

    def test_who_was_told_to_stop_may_say_twice_that_he_did(self, caller: Any, run: Run) -> None:
        client = caller()
        self.tell(client, run, "start", reporter="w1")
        cancel_runs([run.pk], OPERATOR)
        self.tell(client, run, "renew")
        for _ in range(2):
            ended = self.tell(client, run, "fail", error="stopped")
            assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")

    def test_a_failure_waits_for_its_next_attempt(self, caller: Any, run: Run) -> None:
        client = caller()
        self.tell(client, run, "start", reporter="w1")
        failed = self.tell(client, run, "fail", error="broke", error_code="NETWORK").json()
        assert failed["state"] == "pending"
        assert self.tell(client, run, "succeed").status_code == 409

    def test_a_cancel_is_told_at_the_next_renewal(self, caller: Any, run: Run) -> None:
        client = caller()
        self.tell(client, run, "start", reporter="w1")
        cancel_runs([run.pk], OPERATOR, reason="wrong day")
        told = self.tell(client, run, "renew").json()
        assert told["cancel"] is True
        assert "wrong day" in told["reason"]
        assert Attempt.objects.get().stop_delivered_at is not None
        assert self.tell(client, run, "fail", error="stopped").json()["state"] == "cancelled"
        assert Attempt.objects.get().gone_at is not None

    def test_its_deadline_tells_it_to_stop_as_well(self, caller: Any, run: Run) -> None:
        client = caller()
        self.tell(client, run, "start", reporter="w1")
        run.refresh_from_db()
        assert run.deadline_at is not None
        stop_overdue("real", now=run.deadline_at + timedelta(seconds=1))
        assert self.tell(client, run, "renew").json()["cancel"] is True
        assert self.tell(client, run, "succeed").json()["state"] == "pending"  # one retry

    def test_a_lease_that_runs_out_gives_the_run_away(self, caller: Any, run: Run) -> None:
        client = caller()
        self.tell(client, run, "start", reporter="w1")
        leases = Liveness(loop_seconds=1.0, lost_after=LEASE_SECONDS)

        def watch(monotonic: float) -> int:
            now = database_now()
            return take_from_silent_reporters("real", leases, now=now, monotonic=monotonic)

        assert sum(watch(float(second)) for second in range(25)) == 0
        self.tell(client, run, "renew")
        assert sum(watch(float(second)) for second in range(25, 55)) == 0
        assert sum(watch(float(second)) for second in range(55, 57)) == 1
        run.refresh_from_db()
        assert (run.state, run.reason) == (RunState.PENDING, "worker_lost")
        assert self.tell(client, run, "succeed").status_code == 409

    def test_a_lost_message_is_sent_again(
        self, run: Run, publisher: Publisher, valkey: redis.Redis
    ) -> None:
        valkey.flushall()
        missing = MissingMessages(publisher.app, "real")
        run.refresh_from_db()
        assert run.published_at is not None
        sent = [
            missing.sweep(
                publisher, now=run.published_at + timedelta(seconds=s), monotonic=float(s)
            )
            for s in (5, 9)
        ]
        assert sent == [0, 1]
        assert take(valkey).run_id == str(run.pk)
