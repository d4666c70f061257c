"""What a foreign worker's client does when it is not heard any more, or is answered strangely."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from scheduling import client
from scheduling.client import JobCancelled, JobMessage, JobReporter, SchedulerError, mark_job_run
from scheduling.rabbitmq_worker import RabbitMQWorker
from tests.servers import wait_for

LEASE_SECONDS = 1.2
MESSAGE = {
    "job_id": "job", "scope": "real", "run_id": "11111111-1111-7111-8111-111111111111",
    "attempt": 1, "trigger_source": "scheduler", "params": {},
}  # fmt: skip


class Scheduler(ThreadingHTTPServer):
    """Grants a start; what it answers afterwards the test says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {"start": {"lease_sec": LEASE_SECONDS, "params": {}}}


class Answer(BaseHTTPRequestHandler):
    server: Scheduler

    def do_POST(self) -> None:
        what = self.path.rpartition("/")[2]
        self.server.asked.append(what)
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.answers.get(what, 503)
        if answer is None:  # what a proxy that was cut off leaves
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
            return
        body = json.dumps({"code": "x", "message": "x"} if isinstance(answer, int) else answer)
        self.send_response(answer if isinstance(answer, int) else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    server = Scheduler()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("SCHEDULER_URL", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def message() -> JobMessage:
    return client.parse_job_message(MESSAGE)


@pytest.mark.parametrize("renewal", [503, None], ids=["busy", "cut off"])
def test_who_is_not_heard_stops_before_another_may_begin(
    scheduler: Scheduler, renewal: int | None
) -> None:
    scheduler.answers["renew"] = renewal
    scheduler.answers["fail"] = {}
    began = time.monotonic()
    with JobReporter(message()) as reporter:
        wait_for(reporter.cancelled.is_set, seconds=10, what="it is to stop")
        stopped = time.monotonic() - began
        reporter.check()
    assert stopped < LEASE_SECONDS
    assert "renew" in scheduler.asked


def test_who_is_heard_goes_on_beyond_the_lease(scheduler: Scheduler) -> None:
    scheduler.answers |= {"renew": {"cancel": False}, "succeed": {}}
    began = time.monotonic()
    with JobReporter(message()) as reporter:
        wait_for(
            lambda: time.monotonic() - began > 2 * LEASE_SECONDS, seconds=10, what="two leases"
        )
        assert not reporter.cancelled.is_set()
    assert scheduler.asked[-1] == "succeed"


@pytest.mark.parametrize("answer", [500, 502, None])
def test_an_end_that_may_have_arrived_is_not_told_again(
    scheduler: Scheduler, answer: int | None
) -> None:
    scheduler.answers["last-run"] = answer
    with pytest.raises(SchedulerError):
        mark_job_run("job")
    assert scheduler.asked == ["last-run"]


def test_an_end_whose_answer_was_lost_is_not_told_as_a_failure_of_the_next_run(
    scheduler: Scheduler,
) -> None:
    scheduler.answers["last-run"] = 502

    def work(_: Any) -> None:
        mark_job_run("job")

    worker = RabbitMQWorker(queue="real.jobs.job", url="memory://")
    worker._handle = work  # noqa: SLF001 as `run` sets it
    worker._work(MESSAGE)  # noqa: SLF001 what it does with each message
    assert scheduler.asked == ["last-run"]


def test_work_that_was_stopped_says_so() -> None:
    reporter = JobReporter(message())
    reporter.cancelled.set()
    with pytest.raises(JobCancelled):
        reporter.check()
