"""On RabbitMQ the message of a chain's next link waits in the job's own delay queue (SPEC A8)."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Queue

from scheduling.actions.audit import Operator
from scheduling.actions.cancel_runs import cancel_runs
from scheduling.actions.change_policy import change_policy
from scheduling.actions.pause_job import pause_job
from scheduling.actions.trigger_run import trigger_run
from scheduling.clock import database_now
from scheduling.engine.chains.arrivals import start_arrived
from scheduling.engine.chains.delay_queue import LONGEST_WAIT, delay_queue_name, wait_at_broker
from scheduling.engine.chains.due_links import TAKE_OVER_AFTER
from scheduling.engine.chains.going_on import go_on
from scheduling.fence import HEADER, Fence
from scheduling.models import Job, Run, RunEvent, ScheduleEpoch
from scheduling.states import RunState
from scheduling.transitions import Terms, start
from scheduling.worker.errands import Errands
from tests.chains import MINUTE, a_worker, due, end, make_chain, newest_link, start_due, tend
from tests.claims import claim_all
from tests.cluster import Cluster
from tests.servers import free_port, wait_for

pytestmark = [pytest.mark.rabbitmq, pytest.mark.django_db]

SECOND = timedelta(seconds=1)
DELAY_QUEUE = "real.delay.chain"
OWN_QUEUE = "real.jobs.chain"
EVERY_COMMIT = pytest.mark.django_db(transaction=True)  # other connections see them
QUEUES = (DELAY_QUEUE, OWN_QUEUE, "real.delay.other", "real.jobs.other", "real.elsewhere")


def app_at(url: str) -> Celery:
    """Return an app as ours is on RabbitMQ: direct exchanges, quorum queues, confirmations."""
    app = Celery("sender", broker=url, set_as_current=False)
    app.conf.broker_transport_options = {"confirm_publish": True}
    app.conf.task_create_missing_queue_type = "quorum"
    app.conf.task_create_missing_queue_exchange_type = "direct"
    return app


class Broker:
    """RabbitMQ, to be looked into; `app` sends to it."""

    def __init__(self, url: str) -> None:
        self.app = app_at(url)
        self._connection = Connection(url)
        self.channel: Any = self._connection.channel()

    def holds(self, name: str) -> int:
        """Return how many messages wait in a queue; 0 too where there is none."""
        with Connection(self.app.conf.broker_url) as connection:
            channel: Any = connection.channel()
            try:
                return int(channel.queue_declare(name, passive=True).message_count)
            except connection.channel_errors:
                return 0

    def take(self, name: str) -> Any:
        """Take the one message that a queue holds, or will hold within seconds."""
        wait_for(lambda: self.holds(name) == 1, seconds=10, what=f"a message is in {name}")
        return self.channel.basic_get(name, no_ack=True)

    def leave(self) -> None:
        for name in QUEUES:
            self.channel.queue_delete(name)
        self._connection.release()


@pytest.fixture
def broker(rabbitmq_url: str) -> Iterator[Broker]:
    made = Broker(rabbitmq_url)
    yield made
    made.leave()


def sent(broker: Broker, job: Job) -> Run:
    """Have the message of the chain's next link wait at the broker; return the link."""
    wait_at_broker(broker.app, [newest_link(job)], now=database_now())
    return newest_link(job)


def arrives(link: Run, *, after: timedelta = timedelta(0)) -> bool:
    """Bring the link's message to a worker that long after its time; return if it was started."""
    fence = Fence(link.pk, 1)
    return fence in start_arrived([fence], worker_id=a_worker().pk, now=due(link) + after)


# -- the message ---------------------------------------------------------------------------------


def test_the_message_waits_in_the_jobs_own_queue_until_the_link_is_due(broker: Broker) -> None:
    job = make_chain()
    link = newest_link(job)
    wait_at_broker(broker.app, [link], now=due(link) - MINUTE)
    assert delay_queue_name("real", "chain") == DELAY_QUEUE
    message = broker.take(DELAY_QUEUE)
    assert message.properties["expiration"] == "60000"
    assert message.headers[HEADER] == f"{link.pk}:1"
    assert message.properties["correlation_id"] == str(link.attempt_id)
    assert not Run.objects.holding_slot().exists()


def test_what_expires_goes_to_the_jobs_queue_though_nobody_ever_bound_it(broker: Broker) -> None:
    job = make_chain(delay=SECOND)
    link = sent(broker, job)
    assert link.published_at is not None
    message = broker.take(OWN_QUEUE)
    assert database_now() >= due(link)
    assert message.headers["x-death"][0]["queue"] == DELAY_QUEUE
    assert message.headers[HEADER] == f"{link.pk}:1"
    assert broker.holds(DELAY_QUEUE) == 0


@EVERY_COMMIT
def test_a_long_wait_is_cut_and_what_then_comes_too_early_waits_again(broker: Broker) -> None:
    job = make_chain(delay=3 * LONGEST_WAIT)
    link = sent(broker, job)
    assert broker.take(DELAY_QUEUE).properties["expiration"] == str(LONGEST_WAIT // SECOND * 1000)
    assert not arrives(link, after=-2 * LONGEST_WAIT)
    look_after(broker, job)
    assert broker.take(DELAY_QUEUE).headers[HEADER] == f"{link.pk}:1"


def look_after(broker: Broker, job: Job) -> None:
    """Do what a worker does when it is done with a message of the chain, and end that worker."""
    chains = Errands[int]("chains", partial(go_on, broker.app))
    chains.ask(job.pk)
    chains._stopping.set()  # noqa: SLF001 it is told to stop before it came to it
    chains.run()


# -- its arrival ---------------------------------------------------------------------------------


def test_a_link_that_arrives_takes_its_slot_and_starts(broker: Broker) -> None:
    link = sent(broker, make_chain())
    assert arrives(link)
    link.refresh_from_db()
    assert (link.state, link.attempt) == (RunState.RUNNING, 1)
    assert link.attempts.get().pk == link.attempt_id
    assert [event.kind for event in RunEvent.objects.all()] == ["job_started"]


def paused(job: Job, operator: Operator) -> None:
    pause_job(job, operator)


def given_other_parameters(job: Job, operator: Operator) -> None:
    change_policy(job, operator, {"timeout": 5 * MINUTE})


def given_another_delay(job: Job, operator: Operator) -> None:
    change_policy(job, operator, {"next_delay": 2 * MINUTE})


def disabled(job: Job, operator: Operator) -> None:
    change_policy(job, operator, {"enabled": False})


def cancelled(job: Job, operator: Operator) -> None:
    cancel_runs([newest_link(job).pk], operator)


@pytest.mark.parametrize(
    "meanwhile",
    [paused, given_other_parameters, given_another_delay, disabled, cancelled],
)
def test_a_link_whose_job_is_no_longer_the_same_is_refused_and_takes_no_slot(
    meanwhile: Callable[[Job, Operator], None], broker: Broker, operator: Operator
) -> None:
    job = make_chain()
    link = sent(broker, job)
    meanwhile(job, operator)
    assert not arrives(link, after=SECOND)
    assert not Run.objects.holding_slot().exists()
    assert not Run.objects.filter(attempt__gt=0).exists()
    assert Run.objects.waiting_links().count() <= 1


def test_a_link_without_a_free_slot_waits_for_one_and_its_message_starts_nothing(
    broker: Broker, operator: Operator
) -> None:
    job = make_chain()
    link = sent(broker, job)
    trigger_run(job, operator)
    start_due(now=database_now())
    assert not arrives(link)
    link.refresh_from_db()
    assert (link.state, link.attempt) == (RunState.READY, 0)


def test_a_stale_arrival_of_an_earlier_link_starts_nothing(broker: Broker) -> None:
    job = make_chain()
    first = sent(broker, job)
    assert arrives(first)
    first.refresh_from_db()
    (second,) = end(first, now=due(first))
    wait_at_broker(broker.app, [second], now=due(first))
    assert not arrives(first, after=SECOND)
    assert not arrives(second, after=-SECOND)
    assert not Run.objects.holding_slot().exists()
    assert arrives(newest_link(job))
    assert not arrives(second)


# -- edits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("edit", [given_other_parameters, given_another_delay])
def test_the_message_of_an_edited_link_takes_the_place_of_the_old_one(
    edit: Callable[[Job, Operator], None], broker: Broker, operator: Operator
) -> None:
    job = make_chain()
    old = sent(broker, job)
    edit(job, operator)
    link = sent(broker, job)
    assert link.attempt_id != old.attempt_id
    assert broker.take(DELAY_QUEUE).properties["correlation_id"] == str(link.attempt_id)
    assert Run.objects.waiting_links().get() == link


def test_a_link_that_is_edited_while_it_is_being_sent_does_not_start_as_it_was(
    broker: Broker, operator: Operator
) -> None:
    job = make_chain()
    as_it_was = newest_link(job)
    given_other_parameters(job, operator)
    wait_at_broker(broker.app, [as_it_was], now=database_now())
    assert newest_link(job).published_at is None
    assert broker.holds(DELAY_QUEUE) == 0
    assert not arrives(as_it_was)


def test_the_message_of_a_link_as_it_was_does_not_start_the_edited_one_that_a_beat_has_sent(
    broker: Broker, operator: Operator
) -> None:
    job = make_chain()
    old = sent(broker, job)
    given_other_parameters(job, operator)
    tend(now=due(old))
    (claimed,) = claim_all(now=due(old))
    assert claimed.fence == Fence(old.pk, 1)
    assert start_of(old, by=start) == set()
    assert start_of(claimed, by=start) == {claimed.fence}


def test_the_message_of_a_link_as_it_was_does_not_start_the_edited_one_that_waits_too(
    broker: Broker, operator: Operator
) -> None:
    job = make_chain()
    old = sent(broker, job)
    given_other_parameters(job, operator)
    link = sent(broker, job)
    assert start_of(old, by=start_arrived) == set()
    assert start_of(link, by=start_arrived) == {Fence(link.pk, 1)}


def start_of(link: Run, *, by: Callable[..., set[Fence]]) -> set[Fence]:
    """Ask for a start as the worker does that has the message of the link as it then was."""
    fence = Fence(link.pk, 1)
    terms = {fence: Terms(attempt_id=link.attempt_id)}
    return by([fence], worker_id=a_worker().pk, now=due(link), terms=terms)


def test_the_link_of_a_job_that_was_given_another_queue_goes_there(broker: Broker) -> None:
    job = make_chain(delay=2 * SECOND)
    sent(broker, job)
    Run.objects.update(queue="real.elsewhere")
    link = sent(broker, job)
    assert broker.take("real.elsewhere").headers[HEADER] == f"{link.pk}:1"
    assert broker.holds(OWN_QUEUE) == broker.holds(DELAY_QUEUE) == 0


# -- what goes wrong -----------------------------------------------------------------------------


def test_a_link_whose_message_was_lost_is_started_by_the_beat(broker: Broker) -> None:
    link = sent(broker, make_chain())
    broker.channel.queue_purge(DELAY_QUEUE)
    tend(now=due(link) + SECOND)
    link.refresh_from_db()
    assert link.state == RunState.PENDING  # its message may still come
    (run,) = start_due(now=due(link) + TAKE_OVER_AFTER)
    assert (run.pk, run.state, run.attempt) == (link.pk, RunState.RUNNING, 1)
    assert not arrives(link, after=TAKE_OVER_AFTER)


def test_a_link_that_the_broker_does_not_take_keeps_no_other_from_it(broker: Broker) -> None:
    locked, other = make_chain(), make_chain("other")
    with Connection(broker.app.conf.broker_url) as somebody:
        Queue(DELAY_QUEUE, exclusive=True).queue_declare(channel=somebody.channel())
        links = [newest_link(locked), newest_link(other)]
        wait_at_broker(broker.app, links, now=database_now())
        assert newest_link(locked).published_at is None
        assert newest_link(other).published_at is not None
        assert broker.holds("real.delay.other") == 1
    assert not arrives(newest_link(locked))
    assert [run.job_id for run in tend(now=due(newest_link(other)))] == []
    newest = newest_link(locked)
    assert newest.state == RunState.READY


def test_a_broker_that_is_away_leaves_the_link_to_the_beat() -> None:
    job = make_chain()
    nowhere = app_at(f"amqp://guest:guest@127.0.0.1:{free_port()}//")
    wait_at_broker(nowhere, [newest_link(job)], now=database_now())
    assert newest_link(job).published_at is None
    assert [run.pk for run in start_due(now=due(newest_link(job)))] == [newest_link(job).pk]


def test_on_redis_nothing_is_sent_ahead() -> None:
    job = make_chain()
    before = Run.objects.values().get()
    nobody_listens = Celery(broker=f"redis://127.0.0.1:{free_port()}/0", set_as_current=False)
    wait_at_broker(nobody_listens, [newest_link(job)], now=database_now())
    assert Run.objects.values().get() == before
    assert not arrives(newest_link(job))
    assert [run.pk for run in start_due(now=due(newest_link(job)))] == [newest_link(job).pk]


def test_a_queue_that_others_may_serve_gets_nothing_ahead(broker: Broker) -> None:
    job = make_chain()
    Run.objects.update(queue="theirs")
    assert sent(broker, job).published_at is None
    assert broker.holds(DELAY_QUEUE) == 0


# -- whoever ends a link ---------------------------------------------------------------------------


@EVERY_COMMIT
def test_a_worker_that_is_told_to_stop_first_goes_on_with_the_chains_of_what_it_ended(
    broker: Broker,
) -> None:
    job = make_chain()
    (run,) = start_due(now=due(newest_link(job)))
    Run.objects.filter(pk=run.pk).update(state=RunState.DONE, finished_at=database_now())
    look_after(broker, job)
    link = newest_link(job)
    assert (link.state, link.pk == run.pk) == (RunState.PENDING, False)
    assert broker.take(DELAY_QUEUE).headers[HEADER] == f"{link.pk}:1"


@EVERY_COMMIT
def test_a_link_that_is_due_when_it_is_planned_is_sent_at_once(broker: Broker) -> None:
    job = make_chain()
    past = database_now() - 2 * MINUTE
    ScheduleEpoch.objects.update(from_at=past - MINUTE)
    Run.objects.update(state=RunState.DONE, attempt=1, scheduled_for=past, finished_at=past)
    look_after(broker, job)
    link = newest_link(job)
    assert due(link) <= database_now()
    assert broker.take(OWN_QUEUE).headers[HEADER] == f"{link.pk}:1"


@EVERY_COMMIT
def test_a_chain_goes_on_while_no_beat_lives(broker: Broker, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, broker.app.conf.broker_url)
    try:
        cluster.worker()
        job = make_chain(delay=SECOND)
        sent(broker, job)
        done = Run.objects.filter(job=job, state=RunState.DONE)
        wait_for(lambda: done.count() >= 3, seconds=30, what="three links are done")
    finally:
        cluster.stop()
    links = Run.objects.filter(job=job).order_by("scheduled_for")
    assert all(link.scheduled_for <= link.started_at for link in done)  # type: ignore[operator] # they ran
    assert [link.attempt for link in links][:3] == [1, 1, 1]
    assert Run.objects.waiting_links().count() <= 1
