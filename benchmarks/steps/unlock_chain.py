"""Runs a row of work, each waiting for the one before: how soon the next message is out."""

import re
import threading
import time

import redis

from benchmarks.apps import NOOP
from scheduling.actions.audit import Operator
from scheduling.actions.offices.create_office import NewOffice, create_office
from scheduling.actions.offices.submit_work import submit_work
from scheduling.actions.offices.work import Work
from scheduling.models import Run
from scheduling.states import RunState

FENCE = re.compile(r'ops_run\\?": \\?"([0-9a-f-]{36}):1')
LOOK_EVERY_SECONDS = 0.2
MILLISECONDS = 1_000


def run(runs: int, seconds: float, broker_url: str) -> list[float]:
    """Return for each run but the first the milliseconds from the end before it to its message.

    The end is its `finished_at`, which a worker takes just before it commits; the message's time is
    the broker's own, on the same host.
    """
    operator = Operator(actor="benchmarks", door="command")
    office = create_office(NewOffice(scope="real", office_id="hq"), operator)
    published = _watch(broker_url)
    works = [
        Work(key=f"{number}", task=NOOP, depends_on=[f"{number - 1}"] if number else [])
        for number in range(runs)
    ]
    submit_work(office, works, operator)
    deadline = time.monotonic() + seconds
    while Run.objects.filter(state=RunState.DONE).count() < runs:
        if time.monotonic() > deadline:
            raise RuntimeError(f"done: {Run.objects.filter(state=RunState.DONE).count()} of {runs}")
        time.sleep(LOOK_EVERY_SECONDS)
    ended = {run.name: run for run in Run.objects.all()}
    waits = []
    for number in range(1, runs):
        before, after = ended[f"{number - 1}"], ended[f"{number}"]
        if before.finished_at is not None:
            sent = published[str(after.pk)]
            waits.append((sent - before.finished_at.timestamp()) * MILLISECONDS)
    return waits


def _watch(broker_url: str) -> dict[str, float]:
    """Note when the broker took each run's first message."""
    seen: dict[str, float] = {}
    ready = threading.Event()

    def listen() -> None:
        with redis.Redis.from_url(broker_url).monitor() as monitor:  # type: ignore[no-untyped-call]
            ready.set()
            for command in monitor.listen():
                for run_id in FENCE.findall(command["command"]):
                    seen.setdefault(run_id, command["time"])

    threading.Thread(target=listen, daemon=True).start()
    ready.wait()
    return seen
