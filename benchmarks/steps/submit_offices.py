"""Submits work to an office through the API, and watches the transactions and the memory."""

import json
import random
import resource
import time
from http import HTTPStatus
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import Client

from benchmarks.apps import NOOP
from scheduling.actions.audit import Operator
from scheduling.actions.create_token import NewToken, create_token
from scheduling.actions.offices.create_office import NewOffice, create_office

BY_BENCHMARK = Operator(actor="benchmarks", door="command")
KIB, MEGABYTE = 1024, 1_000_000
MILLISECONDS = 1_000


def run(requests: int, runs: int, depends_on: int) -> dict[str, Any]:
    """Submit so many batches, each run waiting for so many before it in its batch.

    Return the seconds of each request, the longest transaction in milliseconds, and the peak
    resident memory in megabytes.
    """
    client = _client()
    create_office(NewOffice(scope="real", office_id="hq"), BY_BENCHMARK)
    bodies = [json.dumps(_batch(number, runs, depends_on)) for number in range(requests)]
    longest = _watch_transactions()
    seconds = []
    for body in bodies:
        began = time.perf_counter()
        answer = client.post("/api/offices/hq/jobs", body, content_type="application/json")
        seconds.append(time.perf_counter() - began)
        if answer.status_code != HTTPStatus.CREATED:
            raise RuntimeError(f"{answer.status_code}: {answer.content[:500]!r}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB / MEGABYTE
    return {"seconds": seconds, "longest_ms": longest(), "megabytes": peak}


def _client() -> Client:
    user = get_user_model().objects.create_user("bench")
    new = NewToken(name="bench", access="admin", scope="real", office_id="")
    token = create_token(new, BY_BENCHMARK, user=user)
    return Client(headers={"Authorization": f"Bearer {token}"}, SERVER_NAME="127.0.0.1")


def _batch(number: int, runs: int, depends_on: int) -> dict[str, Any]:
    """Return a body; a run waits for runs not far before it, as in a plan of work."""
    draw = random.Random(number)  # noqa: S311 the same work at each run
    jobs = []
    for place in range(runs):
        near = range(max(0, place - 50), place)
        awaited = draw.sample(near, min(depends_on, len(near)))
        waits = [f"{number}.{other}" for other in awaited]
        jobs.append({"id": f"{number}.{place}", "task": NOOP, "depends_on": waits})
    return {"jobs": jobs}


def _watch_transactions() -> Any:
    """Time each outermost `atomic`, from its BEGIN to its COMMIT."""
    times = [0.0]
    enter, leave = transaction.Atomic.__enter__, transaction.Atomic.__exit__
    begun: list[float] = []

    def timed_enter(self: Any) -> None:
        begun.append(time.perf_counter())
        enter(self)

    def timed_leave(self: Any, *error: Any) -> None:
        leave(self, *error)
        began = begun.pop()
        if not begun:
            times.append(time.perf_counter() - began)

    transaction.Atomic.__enter__ = timed_enter  # type: ignore[method-assign]
    transaction.Atomic.__exit__ = timed_leave  # type: ignore[method-assign]
    return lambda: max(times) * MILLISECONDS
