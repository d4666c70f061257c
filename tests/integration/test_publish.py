"""Messages of claimed runs on a real Valkey: what they say, where they go, what may go wrong."""

import json
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from celery import Celery
from kombu import Connection

from scheduling.clock import database_now
from scheduling.engine.new_run import new_run
from scheduling.engine.publishing import publish
from scheduling.engine.publishing.delivery import Delivery, deliver
from scheduling.engine.publishing.publish import Publisher
from scheduling.engine.recover import publish_unsent
from scheduling.fence import HEADER
from scheduling.models import Job, Run
from scheduling.states import RunState, Trigger
from scheduling.transitions import open_runs
from tests.claims import claim_all
from tests.conftest import JobMaker
from tests.servers import free_port


def claimed(*jobs: Job, **values: Any) -> list[Run]:
    now = database_now()
    runs = [new_run(job, trigger=Trigger.MANUAL, now=now) for job in jobs]
    for run in runs:
        for name, value in values.items():
            setattr(run, name, value)
    open_runs(runs)
    return claim_all(now=now)


def messages(publisher: Publisher, queue: str) -> list[Any]:
    """Take all messages from a queue."""
    found = []
    with Connection(publisher.app.conf.broker_url) as connection:
        channel: Any = connection.channel()
        while message := channel.basic_get(queue, no_ack=True):
            found.append(message)
    return found


def test_a_message_names_the_attempt_and_carries_no_time_of_celerys(
    publisher: Publisher, make_job: JobMaker
) -> None:
    [run] = claimed(make_job(params={"a": 1}, timeout=timedelta(seconds=90)))
    assert publisher.publish([run], now=database_now()) == 1
    [message] = messages(publisher, "real.jobs.job")
    headers = message.headers
    assert headers[HEADER] == f"{run.pk}:1"
    assert headers["id"] == str(run.attempt_id)
    assert headers["task"] == "tests.task"
    assert headers["timelimit"] == [120, 90]
    assert (headers["eta"], headers["expires"], headers["retries"]) == (None, None, 0)
    assert json.loads(message.body)[:2] == [[], {"a": 1}]
    run.refresh_from_db()
    assert (run.state, run.publish_count) == (RunState.QUEUED, 1)
    assert run.published_at is not None


def test_a_secret_among_the_arguments_is_not_shown(
    publisher: Publisher, make_job: JobMaker
) -> None:
    secret = "ghp_" + "a1B2" * 9
    runs = claimed(make_job(params={"token": secret}), args=[f"password={secret}"])
    publisher.publish(runs, now=database_now())
    [message] = messages(publisher, "real.jobs.job")
    shown = message.headers["argsrepr"] + message.headers["kwargsrepr"]
    assert secret not in shown
    assert "REDACTED" in shown
    assert json.loads(message.body)[1] == {"token": secret}


def test_large_arguments_are_shown_in_short(publisher: Publisher, make_job: JobMaker) -> None:
    publisher.publish(claimed(make_job(params={"text": "word " * 9_000})), now=database_now())
    [message] = messages(publisher, "real.jobs.job")
    assert len(message.headers["kwargsrepr"]) < 1_500


def test_many_messages_go_at_once_and_in_order(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis
) -> None:
    first, *runs = claimed(*[make_job(f"job-{n}", queue="shared") for n in range(61)])
    publisher.publish([first], now=database_now())
    before = valkey.info("stats")["total_reads_processed"]
    assert publisher.publish(runs, now=database_now()) == 60
    assert valkey.info("stats")["total_reads_processed"] - before < 30
    _, *ids = [message.headers["id"] for message in messages(publisher, "real.shared")]
    assert ids == [str(run.attempt_id) for run in runs]
    assert not Run.objects.filter(published_at=None).exists()


def test_one_queue_that_refuses_does_not_keep_the_others_waiting(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis
) -> None:
    valkey.set("real.jobs.spoilt", "no list")
    runs = claimed(make_job("before"), make_job("spoilt"), make_job("after"))
    assert publisher.publish(runs, now=database_now()) == 2
    assert publisher.available
    assert messages(publisher, "real.jobs.after")
    refused = Run.objects.get(job__job_id="spoilt")
    assert (refused.state, refused.published_at) == (RunState.QUEUED, None)
    assert "WRONGTYPE" in refused.error


def test_a_refused_message_does_not_double_the_others_that_have_no_fence(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis
) -> None:
    valkey.set("real.jobs.spoilt", "no list")
    runs = claimed(make_job("before"), make_job("spoilt"), make_job("after"))
    delivery = Delivery(runs, now=database_now(), fenced=False)
    deliver(publisher.app, delivery)
    assert [run for run, _ in delivery.refused] == [runs[1]]
    assert valkey.llen("real.jobs.before") == valkey.llen("real.jobs.after") == 1


def test_a_refused_message_is_tried_again_after_waits_that_double(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis
) -> None:
    valkey.set("real.jobs.job", "no list")
    [run] = claimed(make_job())
    publisher.publish([run], now=database_now())
    queued_at = Run.objects.get().queued_at
    assert queued_at is not None

    def tries(seconds: float) -> int:
        publish_unsent("real", publisher, now=queued_at + timedelta(seconds=seconds))
        return Run.objects.get().publish_count

    assert [tries(5.1), tries(10.1), tries(15), tries(20.1), tries(39), tries(40.1)] == [
        *(1, 2, 2, 3, 3, 4)
    ]
    valkey.delete("real.jobs.job")
    publish_unsent("real", publisher, now=queued_at + timedelta(seconds=81))
    assert Run.objects.get().published_at is not None


def test_what_was_refused_does_not_hold_up_what_was_never_tried(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduling.engine.recover.BATCH", 1)
    valkey.set("real.jobs.spoilt", "no list")
    runs = claimed(make_job("spoilt", priority=-1), make_job("unsent"))
    publisher.publish(runs[:1], now=database_now())
    assert publish_unsent("real", publisher, now=database_now() + timedelta(seconds=60)) == 1
    assert messages(publisher, "real.jobs.unsent")


def test_a_connection_that_went_stale_is_replaced_at_once(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis
) -> None:
    first, second = claimed(make_job("first"), make_job("second"))
    publisher.publish([first], now=database_now())
    valkey.client_kill_filter(_type="normal", skipme=True)
    assert publisher.publish([second], now=database_now()) == 1
    assert messages(publisher, "real.jobs.second")


def test_a_broker_that_does_not_answer_gets_a_rest_that_doubles(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = Publisher(Celery("nowhere", broker=f"redis://127.0.0.1:{free_port()}/0"))
    runs = claimed(make_job())
    rests: list[float] = []
    for at in range(0, 60, 10):
        monkeypatch.setattr(publish, "time", Mock(monotonic=Mock(return_value=at)))
        assert nowhere.available
        assert nowhere.publish(runs, now=database_now()) == 0
        assert not nowhere.available
        rests.append(nowhere.rests_until - at)
    assert rests == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_a_routed_message_goes_with_its_priority_and_headers_but_not_without_the_fence(
    publisher: Publisher, make_job: JobMaker
) -> None:
    routing = {"priority": 6, "headers": {"tenant": "acme", HEADER: "forged"}}
    [run] = claimed(make_job(), routing=routing, queue="theirs")
    publisher.publish([run], now=database_now())
    [message] = messages(publisher, "theirs")
    assert (message.headers["tenant"], message.headers[HEADER]) == ("acme", f"{run.pk}:1")
    assert message.properties["priority"] == 6


def test_a_foreign_queue_is_not_declared(
    publisher: Publisher, make_job: JobMaker, valkey: redis.Redis
) -> None:
    publisher.publish(claimed(make_job(), queue="theirs"), now=database_now())
    assert valkey.llen("theirs") == 1
    assert not valkey.keys("_kombu.binding.*")
