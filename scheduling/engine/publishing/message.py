"""The message of claimed runs: "look at run X, attempt N", in Celery's own protocol.

Foreign workers do not speak it: theirs is in `foreign_message`.
"""

from datetime import datetime
from functools import cache
from math import ceil
from typing import Any

from celery import Celery
from celery.utils.nodenames import anon_nodename
from kombu import Exchange, Producer, Queue

from scheduling.engine.publishing.batch import Batch, Parcel
from scheduling.engine.publishing.foreign_message import send_foreign_message
from scheduling.fence import BATCH_TASK, HEADER, RETRIES_HEADER, join_fences
from scheduling.logs import configured_redactor
from scheduling.models import Run
from scheduling.redaction import clip
from scheduling.transitions import HARD_LIMIT_MARGIN

LONGEST_SHOWN = 1_024  # characters of the arguments, as in Celery's own messages


def send_message(
    app: Celery,
    producer: Producer,
    parcel: Parcel,
    *,
    now: datetime,
    fenced: bool = True,
    **options: Any,
) -> None:
    """Hand the parcel's message to the producer; it raises what the transport raises.

    It carries no Celery `expires`, `eta` or `retries`: the ledger decides those (DESIGN rule 4).
    Without the fence it is a message like any other, for workers that know no ledger.
    """
    if isinstance(parcel, Run) and parcel.reporting:
        send_foreign_message(producer, parcel, now=now, **options)
        return
    if isinstance(parcel, Batch):
        name, message, run = BATCH_TASK, _batch_message(app, parcel), parcel.first
        headers = {HEADER: join_fences(run.fence for run in parcel.runs)}
    else:
        name, message, run = parcel.task, _message(app, parcel), parcel
        headers = _headers(run, fenced=fenced)
    options = {**_address(app, run), **options}
    options["declare"] = _to_declare(producer, options.get("queue"))
    app.amqp.send_task_message(producer, name, message, headers=headers, retry=False, **options)


def _message(app: Celery, run: Run) -> Any:
    soft, hard = _limits(run)
    return app.amqp.as_task_v2(
        str(run.attempt_id),
        run.task,
        args=run.args,
        kwargs=run.params,
        soft_time_limit=soft,
        time_limit=hard,
        origin=_origin(),
        ignore_result=_ignores_result(app, run.task),
        create_sent_event=_tells_of_sending(app),
        argsrepr=_shown(run.args),
        kwargsrepr=_shown(run.params),
    )


def _batch_message(app: Celery, batch: Batch) -> Any:
    """One message for many: the task, and what each run gives it, in the order of the fences."""
    soft, hard = _limits(batch.first)
    return app.amqp.as_task_v2(
        str(batch.attempt_id),
        BATCH_TASK,
        kwargs={
            "task": batch.first.task,
            "runs": [[str(run.attempt_id), run.args, run.params] for run in batch.runs],
        },
        soft_time_limit=soft,
        time_limit=hard,
        origin=_origin(),
        ignore_result=True,
        create_sent_event=_tells_of_sending(app),
        argsrepr="()",
        kwargsrepr=_shown({"task": batch.first.task, "runs": len(batch.runs)}),
    )


def _headers(run: Run, *, fenced: bool) -> dict[str, Any]:
    """What a foreign row asks for, and the fence, which nothing may replace."""
    asked: dict[str, Any] = run.routing.get("headers", {})
    if not fenced:
        return asked
    fence = {HEADER: str(run.fence), RETRIES_HEADER: run.retry_count}
    return {**asked, **fence}


def _address(app: Celery, run: Run) -> dict[str, Any]:
    """Where the message goes: as stock beat would send it, an exchange counts with its key only.

    Our own queues are declared as the app declares them; what is foreign is taken as it is.
    """
    options: dict[str, Any] = {}
    if "priority" in run.routing:
        options["priority"] = run.routing["priority"]
    if is_routed(run):
        options["exchange"] = run.routing["exchange"]
        options["routing_key"] = run.routing["routing_key"]
    else:
        own = run.is_for_own_queue
        options["queue"] = app.amqp.queues[run.queue] if own else _foreign_queue(run.queue)
    return options


def is_routed(run: Run) -> bool:
    """Whether the message goes to somebody's exchange, and so into queues that are not known."""
    routing = run.routing if isinstance(run.routing, dict) else {}  # a row corrupted by hand
    return bool(routing.get("exchange") and routing.get("routing_key"))


def _to_declare(producer: Producer, queue: Any) -> list[Queue]:
    """What the connection has not declared yet; Celery would bind a copy of it per message."""
    if queue is None or queue.no_declare:
        return []
    channel: Any = producer.channel
    return [] if hash(queue) in channel.connection.client.declared_entities else [queue]


@cache
def _foreign_queue(name: str) -> Queue:
    return Queue(name, Exchange(""), routing_key=name, no_declare=True)


@cache
def _tells_of_sending(app: Celery) -> bool:
    return bool(app.conf.task_send_sent_event)


@cache
def _origin() -> str:
    return str(anon_nodename())


def _ignores_result(app: Celery, task: str) -> Any:
    """As the task declares; where it is not known, the worker's own task decides.

    The ledger has the results of tracked runs; a project with a result backend goes on using it.
    """
    return getattr(app.tasks.get(task), "ignore_result", None)


def _shown(arguments: Any) -> str:
    """What Flower and the worker's log show of a task leaves the platform like any text."""
    text = repr(arguments)
    return configured_redactor().text(clip(text, LONGEST_SHOWN)) if arguments else text


def _limits(run: Run) -> tuple[int | None, int | None]:
    """Return the run's soft and hard limit in seconds; without one the task's own hold."""
    if run.timeout is None:
        return None, None
    hard = run.timeout + HARD_LIMIT_MARGIN
    return ceil(run.timeout.total_seconds()), ceil(hard.total_seconds())
