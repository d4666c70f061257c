"""Messages that the broker lost are sent again, those that it has are not."""

from datetime import timedelta
from typing import Any

import pytest
import redis
from celery import Celery

from scheduling.clock import database_now
from scheduling.engine.new_run import new_run
from scheduling.engine.publishing import republish
from scheduling.engine.publishing.publish import Publisher
from scheduling.engine.publishing.republish import MissingMessages
from scheduling.engine.publishing.serving import Serving
from scheduling.engine.recover import expire_waiting, fail_unstartable
from scheduling.models import JobStatus, Run, WorkerProcess
from scheduling.states import RunState, Trigger
from scheduling.transitions import open_runs
from tests.claims import claim_all
from tests.conftest import JobMaker
from tests.servers import free_port


class Sweeps:
    """Sweeps at the times of an example: each some seconds after the messages went."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.missing = MissingMessages(publisher.app, "real")
        self.start = database_now()

    def at(self, seconds: float) -> int:
        now = self.start + timedelta(seconds=seconds)
        return self.missing.sweep(self.publisher, now=now, monotonic=seconds)


def published(publisher: Publisher, make_job: JobMaker, *names: str, **values: Any) -> list[Run]:
    now = database_now()
    runs = [new_run(make_job(name), trigger=Trigger.MANUAL, now=now) for name in names]
    for run in runs:
        for name, value in values.items():
            setattr(run, name, value)
    open_runs(runs)
    claimed = claim_all(now=now)
    publisher.publish(claimed, now=now)
    return claimed


def test_after_a_flush_every_message_is_sent_again_once_two_sweeps_have_missed_it(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis
) -> None:
    published(publisher, make_job, "a", "b", "c")
    valkey.flushall()
    sweeps = Sweeps(publisher)
    assert [sweeps.at(5), sweeps.at(6), sweeps.at(8.5), sweeps.at(12), sweeps.at(15)] == [
        *(0, 0, 3, 0, 0)
    ]
    assert valkey.llen("real.jobs.a") == 1
    assert list(Run.objects.values_list("publish_count", flat=True)) == [2, 2, 2]


def a_worker(*queues: str, follows_queues: bool = False, age: float = 60) -> WorkerProcess:
    return WorkerProcess.objects.create(
        scope="real", hostname="w", pid=1, pool="prefork", concurrency=1, can_stop=True,
        queues=list(queues), follows_queues=follows_queues,
        started_at=database_now() - timedelta(seconds=age),
    )  # fmt: skip


def asked(publisher: Publisher) -> Publisher:
    """Let the publisher know that no plain worker answered."""
    publisher.serving = Serving(publisher.app, "real")
    publisher.serving.note({})
    return publisher


def test_nothing_is_sent_again_to_a_queue_that_none_of_ours_serves(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis
) -> None:
    """Nobody there could tell a second message from the first."""
    published(publisher, make_job, "a", "b")
    valkey.flushall()
    a_worker("real.jobs.a")
    sweeps = Sweeps(asked(publisher))
    assert [sweeps.at(5), sweeps.at(8.5)] == [0, 1]
    assert valkey.llen("real.jobs.a") == 1
    a_worker("real.jobs.b")
    assert sweeps.at(12) == 1
    assert valkey.llen("real.jobs.b") == 1


def test_a_run_that_nobody_serves_says_so(publisher: Publisher, make_job: JobMaker) -> None:
    (run,) = published(publisher, make_job, "a")
    a_worker("real.default")
    Sweeps(asked(publisher)).at(5)
    run.refresh_from_db()
    assert run.error == "no worker serves the queue 'real.jobs.a': start one"
    assert fail_unstartable("real", now=database_now() + timedelta(minutes=5)) == 0


def test_one_that_would_expire_before_fails_then_and_the_job_says_why(
    publisher: Publisher, make_job: JobMaker
) -> None:
    """Every ten seconds anew it would be skipped for ever, and nobody told."""
    (run,) = published(publisher, make_job, "a")
    soon = database_now() + timedelta(seconds=8)
    Run.objects.filter(pk=run.pk).update(
        error="no worker knows it", error_code="UnknownTask", expires_at=soon
    )
    late = soon + timedelta(seconds=1)
    assert fail_unstartable("real", now=soon - timedelta(seconds=1)) == 0
    assert expire_waiting("real", now=late) == 0
    assert fail_unstartable("real", now=late) == 1
    status = JobStatus.objects.get(job=run.job)
    assert (status.last_status, status.last_error) == ("failed", "no worker knows it")
    assert (status.consecutive_errors, status.last_run_at) == (0, None)


def test_a_run_whose_task_no_worker_knows_says_so_and_fails_after_a_grace(
    publisher: Publisher, make_job: JobMaker
) -> None:
    """A worker that serves all that it can has left its queue alone."""
    (run,) = published(publisher, make_job, "a")
    fresh = a_worker("real.default", follows_queues=True, age=0)
    sweeps = Sweeps(asked(publisher))
    sweeps.at(5)
    run.refresh_from_db()
    assert run.error_code == "NotServed"  # it may still be looking
    WorkerProcess.objects.filter(pk=fresh.pk).update(started_at=database_now() - timedelta(hours=1))
    sweeps.at(9)
    run.refresh_from_db()
    assert run.error.startswith("no worker knows the task 'tests.task'")
    assert fail_unstartable("real", now=database_now() + timedelta(minutes=5)) == 1
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.FAILED, "UnknownTask")


def test_what_still_waits_on_the_broker_is_not_sent_again(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis
) -> None:
    published(publisher, make_job, "a", "b")
    valkey.delete("real.jobs.b")
    sweeps = Sweeps(publisher)
    assert [sweeps.at(5), sweeps.at(8.5)] == [0, 1]
    assert valkey.llen("real.jobs.a") == valkey.llen("real.jobs.b") == 1


def test_what_a_live_worker_holds_is_not_sent_again(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis
) -> None:
    published(publisher, make_job, "a")
    valkey.flushall()
    WorkerProcess.objects.create(
        scope="real", hostname="w", pid=1, pool="prefork", concurrency=1, can_stop=True,
        reserved={"real.jobs.a": 1}, started_at=database_now(),
    )  # fmt: skip
    sweeps = Sweeps(publisher)
    assert [sweeps.at(5), sweeps.at(8.5), sweeps.at(12)] == [0, 0, 0]


def test_what_went_through_somebodys_exchange_is_not_looked_for(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis
) -> None:
    published(publisher, make_job, "a", routing={"exchange": "theirs", "routing_key": "key"})
    valkey.flushall()
    sweeps = Sweeps(publisher)
    assert [sweeps.at(5), sweeps.at(8.5), sweeps.at(12)] == [0, 0, 0]


def test_very_many_queues_are_looked_at_by_turns(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(republish, "MOST_QUEUES", 2)
    published(publisher, make_job, "a", "b", "c", "d", "e")
    valkey.flushall()
    sweeps = Sweeps(publisher)
    sent = [sweeps.at(5 + 3.5 * n) for n in range(6)]
    assert sent == [0, 0, 0, 2, 2, 1]


def test_a_broker_that_does_not_answer_is_not_taken_for_an_empty_one(
    make_job: JobMaker, publisher: Publisher
) -> None:
    published(publisher, make_job, "a")
    nowhere = Publisher(Celery("nowhere", broker=f"redis://127.0.0.1:{free_port()}/0"))
    sweeps = Sweeps(nowhere)
    assert [sweeps.at(5), sweeps.at(8.5), sweeps.at(12)] == [0, 0, 0]
    assert Run.objects.get().publish_count == 1
