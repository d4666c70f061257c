"""The consumer's bootstep that ties the ledger's parts to the worker's life."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import bootsteps

from scheduling.engine.chains.going_on import go_on
from scheduling.engine.follow_up import follow_up
from scheduling.engine.publishing.publish import Publisher
from scheduling.worker.errands import Errands
from scheduling.worker.heartbeat import Heartbeat
from scheduling.worker.reconnect import remember_jobs, watch_ended_processes
from scheduling.worker.runtime import runtime
from scheduling.worker.stopper import Stopper
from scheduling.worker.task_events import send_in_groups
from scheduling.worker.window import Window

logger = logging.getLogger(__name__)


class LedgerStep(bootsteps.StartStopStep):
    """Started with the consumer, and again after each lost connection; the threads live on."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Start the threads at the first start; the pool has forked its children by then."""
        if runtime.heartbeat is None:
            runtime.controller = consumer.controller
            consumer.create_task_handler = partial(guarded_handler, consumer)
            runtime.stopper = Stopper(
                worker_id=lambda: runtime.worker_id,
                attempts=runtime.attempts,
                recorder=runtime.recorder,
                can_stop=runtime.can_stop,
            )
            runtime.chains = Errands("chains", partial(go_on, consumer.app))
            runtime.chains.start()
            runtime.follow_ups = Errands("follow-ups", partial(follow_up, Publisher(consumer.app)))
            runtime.follow_ups.start()
            runtime.heartbeat = Heartbeat(consumer)
            runtime.heartbeat.start()
            runtime.stopper.start()
        elif runtime.pool is not None:
            remember_jobs(runtime.pool)
            watch_ended_processes(runtime.pool)
        send_in_groups(consumer)
        take_at_once(consumer)

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Celery calls this whenever its event loop begins anew."""
        runtime.mailbox.attach(hub)
        runtime.window = Window(consumer)


def take_at_once(consumer: Any) -> None:
    """Have a fenced request ask for its start when it arrives, not when a process is free."""
    take = consumer.on_task_request

    def on_task_request(request: Any) -> None:
        if getattr(request, "fenced", False) and runtime.mailbox.has_loop:
            request.ask()
        else:
            take(request)

    consumer.on_task_request = on_task_request
    consumer.update_strategies()  # they have taken the one before


def guarded_handler(consumer: Any) -> Callable[[Any], None]:
    """Return Celery's handler of messages; one that it cannot read is dropped, not the worker."""
    handle = type(consumer).create_task_handler(consumer)

    def on_message(message: Any) -> None:
        try:
            handle(message)
        except consumer.connection_errors + consumer.channel_errors:
            raise
        except Exception:
            # It would come back for ever. What it stood for, if anything, the ledger sends again.
            logger.exception("message_unreadable")
            if not message.acknowledged:
                message.reject_log_error(logger, consumer.connection_errors)

    return on_message
