"""A worker that is no Celery worker: takes the messages of jobs without a `task` (SPEC A18).

    worker = RabbitMQWorker(queue="real.jobs.buy-scanner")

    def handle(payload):
        job = parse_job_message(payload)
        run_scan(**job.params)
        mark_job_run(job.job_id, scope=job.scope)

    worker.run(handle)

Or without the last line: `python3 -m scheduling.rabbitmq_worker FILE` runs each worker that the
file makes, with the file's `handle`. It needs kombu and nothing else of the platform.
"""

import argparse
import importlib
import logging
import os
import runpy
import threading
from collections.abc import Callable
from typing import Any

from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin

from scheduling.client import (
    JobExpired,
    JobMessageError,
    JobRefused,
    SchedulerError,
    mark_job_run,
    parse_job_message,
)

logger = logging.getLogger(__name__)

DEFAULT_BROKER_URL = "amqp://guest:guest@127.0.0.1:5672//"
Handle = Callable[[dict[str, Any]], Any]


class RabbitMQWorker:
    """Takes one message after the other from a queue, and comes back to a broker that was away.

    A message is acknowledged behind `handle`: of one whose worker died the broker makes another
    try. RabbitMQ waits for that 30 minutes by default (`consumer_timeout`); `acknowledge_early`
    for work that takes longer, which then is not tried again.
    """

    def __init__(self, *, queue: str, url: str = "", acknowledge_early: bool = False) -> None:
        self.queue = queue
        self.acknowledge_early = acknowledge_early
        self._url = url or os.environ.get("CELERY_BROKER_URL") or DEFAULT_BROKER_URL
        self._consuming: _Consuming | None = None
        self._handle: Handle | None = None

    def run(self, handle: Handle) -> None:
        """Work until stopped; `handle` gets what the message says.

        What `handle` raises is reported as a failure of the run.
        """
        self._handle = handle
        self._consuming = _Consuming(self._url, self.queue, self._take)
        logger.info("queue %s of %s", self.queue, self._consuming.connection.as_uri())
        self._consuming.run()

    def stop(self) -> None:
        """End behind the present message; from any thread."""
        if self._consuming is not None:
            self._consuming.should_stop = True

    def _take(self, body: Any, message: Any) -> None:
        if self.acknowledge_early:
            message.ack()
        self._work(body)
        if not self.acknowledge_early:
            message.ack()

    def _work(self, body: Any) -> None:
        try:
            job = parse_job_message(body)
        except (JobExpired, JobMessageError) as dropped:
            logger.warning("message dropped: %s", dropped)
            return
        try:
            self._handle(body)  # type: ignore[misc] # run() has set it
        except (JobExpired, JobRefused) as dropped:
            logger.info("message dropped: %s", dropped)
        except SchedulerError as refused:
            # The work is done, or not begun: another report would be taken for the next run's.
            logger.warning("run %s of job %s not reported: %s", job.run_id, job.job_id, refused)
        except Exception as error:
            logger.exception("run %s of job %s failed", job.run_id, job.job_id)
            self._report(job.job_id, job.scope, error)

    @staticmethod
    def _report(job_id: str, scope: str, error: Exception) -> None:
        """A job that is reported in full has told it already, and refuses this."""
        code = type(error).__name__
        try:
            mark_job_run(job_id, scope, status="failed", error=f"{code}: {error}", error_code=code)
        except SchedulerError as refused:
            logger.warning("failure not reported: %s", refused)


class _Consuming(ConsumerMixin):
    """Kombu's loop, which comes back to a broker that was away."""

    def __init__(self, url: str, queue: str, take: Callable[[Any, Any], None]) -> None:
        # While work is done nobody answers heartbeats.
        self.connection = Connection(url, heartbeat=0)
        self._queue = Queue(queue, Exchange(""), routing_key=queue, durable=True)
        self._take = take

    def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:
        """Take one message at a time."""
        channel.basic_qos(0, 1, False)
        return [consumer(queues=[self._queue], callbacks=[self._take], accept=["json"])]


def main() -> None:
    """Run the workers of a file."""
    parser = argparse.ArgumentParser(description="Runs the RabbitMQWorkers that a file makes.")
    parser.add_argument("file", help="makes workers, and has the function handle(payload)")
    file = parser.parse_args().file
    logging.basicConfig(level=logging.INFO)
    made = runpy.run_path(file)
    workers = [value for value in made.values() if isinstance(value, RabbitMQWorker)]
    if not workers or not callable(made.get("handle")):
        parser.error(f"{file} makes no RabbitMQWorker, or has no function handle(payload)")
    threads = [
        threading.Thread(target=worker.run, args=[made["handle"]], name=worker.queue, daemon=True)
        for worker in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    # The file imports this module by its name, and makes workers of that one's class.
    importlib.import_module("scheduling.rabbitmq_worker").main()
