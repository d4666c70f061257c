"""Queues that only plain Celery workers serve: handed over once, and never sent again."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.test import override_settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from kombu.exceptions import OperationalError

from scheduling.clock import database_now
from scheduling.engine import recover
from scheduling.engine.new_run import new_run
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.publishing import once
from scheduling.engine.publishing.delivery import Delivery
from scheduling.engine.publishing.hand_over import hand_over_runs
from scheduling.engine.publishing.publish import Publisher
from scheduling.engine.publishing.republish import MissingMessages
from scheduling.engine.publishing.serving import Serving
from scheduling.engine.recover import publish_unsent
from scheduling.fence import HEADER
from scheduling.ledger import accounts
from scheduling.models import Job, Run, WorkerProcess
from scheduling.states import RunState, Trigger
from scheduling.transitions import mark_sent, open_runs
from tests.claims import claim_all
from tests.cluster import Cluster
from tests.conftest import JobMaker
from tests.servers import Valkey, free_port, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def app(valkey_server: Valkey) -> Celery:
    return Celery("sender", broker=valkey_server.url)


def claimed(make_job: JobMaker, queue: str = "foreign") -> list[Run]:
    job = make_job(f"job-{queue}", every=10)
    job.queue = queue
    job.save()
    now = database_now() + timedelta(seconds=11)
    plan_due_jobs("real", now=now)
    return claim_all(now=now)


def a_row(path: Path) -> PeriodicTask:
    every = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.SECONDS)
    return PeriodicTask.objects.create(
        name="theirs", task="plain.note", interval=every, queue="theirs",
        kwargs=f'{{"path": "{path}"}}',
    )  # fmt: skip


def test_a_plain_worker_runs_each_tick_of_an_adopted_row_once(
    cluster: Cluster, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    cluster.plain_worker("-Q", "theirs")
    a_row(seen)
    beats = [cluster.beat(), cluster.beat()]
    done = Run.objects.filter(state=RunState.DONE, reason="handed_over")
    wait_for(lambda: done.count() >= 5, seconds=60, what="five ticks are handed over")
    for beat in beats:
        cluster.end(beat)
    wait_for(
        lambda: len(seen.read_text().split()) == done.count(),
        seconds=20,
        what="the plain worker has run what was handed over",
    )
    (account,) = accounts("real", now=database_now())
    assert account.closes
    assert not Run.objects.filter(reason="handed_over").exclude(error="").exists()


def test_our_workers_are_never_taken_for_plain_ones(
    cluster: Cluster, valkey_server: Valkey
) -> None:
    """Not before they have a row, nor after they were given up."""
    serving = Serving(Celery("asks", broker=valkey_server.url), "real")
    cluster.plain_worker("-Q", "theirs")
    cluster.worker("-Q", "ours")
    WorkerProcess.objects.update(lost_at=database_now())
    wait_for(
        lambda: serving.plain_workers() == {"plain@test": ["theirs"], "w1@real": []},
        seconds=30,
        what="both answer, and only one is plain",
    )


def test_a_queue_that_a_plain_worker_shares_with_ours_is_untracked() -> None:
    """What the plain one takes is executed and never told of."""
    WorkerProcess.objects.create(
        scope="real", hostname="ours@host", pid=1, pool="prefork", concurrency=1, can_stop=True,
        queues=["shared", "ours"], started_at=database_now(),
    )  # fmt: skip
    serving = Serving(Celery("asks"), "real")
    serving.note({"plain@host": ["theirs", "shared"]})
    assert serving.untracked({"theirs", "shared", "ours", "nobody"}) == {"theirs", "shared"}
    assert serving.unserved({"theirs", "shared", "ours", "nobody", "real.default"}) == {"nobody"}


def test_nothing_goes_to_a_foreign_queue_before_the_workers_were_asked(
    make_job: JobMaker, app: Celery
) -> None:
    serving = Serving(app, "real")
    runs = claimed(make_job)
    assert Publisher(app, serving).publish(runs, now=database_now()) == 0
    assert Run.objects.get().published_at is None


def test_what_nobody_serves_is_held_back_and_says_so_until_a_worker_comes(
    make_job: JobMaker, app: Celery
) -> None:
    """A plain worker that came later would run it, and the ledger would take it for expired."""
    serving = Serving(app, "real")
    serving.note({})
    publisher = Publisher(app, serving)
    (run,) = claimed(make_job, "unserved")
    assert publisher.publish([run], now=database_now()) == 0
    run.refresh_from_db()
    assert run.published_at is None
    assert run.error.startswith("not published: no worker serves the queue 'unserved'. Correct")

    serving.note({"plain@host": ["unserved"]})
    assert publisher.publish([run], now=database_now()) == 1
    run.refresh_from_db()
    assert (run.state, run.reason, run.error) == (RunState.DONE, "handed_over", "")


def test_what_our_workers_served_stays_theirs_while_they_are_restarted(
    make_job: JobMaker, app: Celery
) -> None:
    now = database_now()
    WorkerProcess.objects.create(
        scope="real", hostname="ours@host", pid=1, pool="prefork", concurrency=1, can_stop=True,
        queues=["once-ours"], started_at=now, stopped_at=now,
    )  # fmt: skip
    serving = Serving(app, "real")
    serving.note({})
    (run,) = claimed(make_job, "once-ours")
    assert Publisher(app, serving).publish([run], now=now) == 1
    run.refresh_from_db()
    assert (run.state, run.error) == (RunState.QUEUED, "")
    assert run.published_at == now


@override_settings(OPS_UNTRACKED_QUEUES=["mute"])
def test_a_queue_whose_workers_never_answer_can_be_named(make_job: JobMaker, app: Celery) -> None:
    serving = Serving(app, "real")
    serving.note({})
    (run,) = claimed(make_job, "mute")
    assert Publisher(app, serving).publish([run], now=database_now()) == 1
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.DONE, "handed_over")


def test_what_is_handed_over_carries_no_fence_and_is_done(make_job: JobMaker, app: Celery) -> None:
    (run,) = claimed(make_job, "theirs-only")
    hand_over_runs(app, [run], now=database_now())
    run.refresh_from_db()
    assert (run.state, run.reason, run.error) == (RunState.DONE, "handed_over", "")
    with app.connection() as connection:
        message = connection.SimpleQueue("theirs-only").get(timeout=5)
    assert HEADER not in message.headers
    message.ack()


def test_results_go_on_to_where_their_project_keeps_them(make_job: JobMaker, app: Celery) -> None:
    @app.task(name="tests.task", shared=False)
    def keeps() -> None:
        pass

    for ignores in (False, True):
        keeps.ignore_result = ignores
        (run,) = claimed(make_job, f"results-{ignores}")
        hand_over_runs(app, [run], now=database_now())
        with app.connection() as connection:
            message = connection.SimpleQueue(run.queue).get(timeout=5)
        headers: dict[str, Any] = message.headers
        assert headers["ignore_result"] is ignores
        message.ack()


def test_a_crash_between_sending_and_ending_sends_nothing_twice(
    make_job: JobMaker, app: Celery
) -> None:
    (run,) = claimed(make_job)
    serving = Serving(app, "real")
    serving.note({"plain@host": ["foreign"]})
    publisher = Publisher(app, serving)
    sent_at = database_now()
    mark_sent([run.pk], now=sent_at)  # and here the beat is killed
    assert mark_sent([run.pk], now=sent_at) == set()  # another beat does not send it
    missing = MissingMessages(app, "real")
    for second in (10, 20):
        now = sent_at + timedelta(seconds=second)
        missing.sweep(publisher, now=now, monotonic=float(second))
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.DONE, "handed_over")
    assert run.error == "a worker without the ledger may have taken its message"


def test_what_is_held_back_does_not_hold_up_what_has_somebody_to_go_to(
    make_job: JobMaker, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover, "BATCH", 2)
    serving = Serving(app, "real")
    serving.note({})
    now = database_now()
    held = [make_job(f"held-{n}") for n in range(3)]
    Job.objects.filter(pk__in=[job.pk for job in held]).update(queue="nobodys")
    runs = [new_run(job, trigger=Trigger.MANUAL, now=now) for job in [*held, make_job("ours")]]
    for run in runs[:3]:
        run.queue = "nobodys"
    open_runs(runs)
    claim_all(now=now)
    assert publish_unsent("real", Publisher(app, serving), now=now + timedelta(seconds=6)) == 1
    assert Run.objects.get(published_at__isnull=False).queue == "real.jobs.ours"


def test_a_plain_worker_on_a_queue_of_ours_gets_no_run_twice(
    make_job: JobMaker, app: Celery
) -> None:
    """It was started by mistake, say, and eats the message of a run that it cannot report."""
    job = make_job("eaten")
    now = database_now()
    open_runs([new_run(job, trigger=Trigger.MANUAL, now=now)])
    serving = Serving(app, "real")
    serving.note({"plain@host": [job.queue]})
    publisher = Publisher(app)
    assert publisher.publish(claim_all(now=now), now=now) == 1
    with app.connection() as connection:
        connection.SimpleQueue(job.queue).get(timeout=5).ack()
    publisher.serving = serving
    missing = MissingMessages(app, "real")
    for second in (5, 10, 20):
        at = now + timedelta(seconds=second)
        assert missing.sweep(publisher, now=at, monotonic=float(second)) == 0
    run = Run.objects.get()
    assert (run.state, run.reason) == (RunState.DONE, "handed_over")


def test_a_broker_that_hangs_gets_a_rest_and_leaves_no_more_in_doubt(
    make_job: JobMaker, app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(_app: Celery, delivery: Delivery) -> None:
        raise OperationalError(f"{len(delivery.waiting)} messages had no answer")

    monkeypatch.setattr(once, "deliver", hang)
    serving = Serving(app, "real")
    serving.note({"plain@host": ["foreign"]})
    publisher = Publisher(app, serving)
    assert publisher.publish(claimed(make_job), now=database_now()) == 0
    assert not publisher.available


def test_nobody_asks_for_workers_when_nobody_wants_to_know() -> None:
    serving = Serving(Celery("asks", broker="memory://"), "real")
    others = set(threading.enumerate())
    serving.knows()
    (asking,) = set(threading.enumerate()) - others
    del serving
    wait_for(lambda: not asking.is_alive(), seconds=20, what="the thread has ended")


def test_without_a_broker_nothing_is_handed_over(make_job: JobMaker) -> None:
    nowhere = Celery("sender", broker=f"redis://127.0.0.1:{free_port()}/0")
    serving = Serving(nowhere, "real")
    serving.note({"plain@host": ["foreign"]})
    (run,) = claimed(make_job)
    publisher = Publisher(nowhere, serving)
    assert publisher.publish([run], now=database_now()) == 0
    assert not publisher.available
    run.refresh_from_db()
    assert (run.state, run.published_at) == (RunState.QUEUED, None)
