"""The consumer's bootstep that ties the ledger's parts to the worker's life."""

from typing import Any

from celery import bootsteps

from scheduling.worker.heartbeat import Heartbeat
from scheduling.worker.runtime import runtime


class LedgerStep(bootsteps.StartStopStep):
    """Started with the consumer, and again after each lost connection; the threads live on."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Start the threads at the first start; the pool has forked its children by then."""
        if runtime.heartbeat is None:
            runtime.controller = consumer.controller
            runtime.heartbeat = Heartbeat(consumer)
            runtime.heartbeat.start()

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Celery calls this whenever its event loop begins anew."""
        del consumer
        runtime.mailbox.attach(hub)
