"""Fills an office with very many runs that have ended, and asks for its stats."""

import time
from statistics import median
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from benchmarks.apps import NOOP, OUR_QUEUE
from scheduling.actions.audit import Operator
from scheduling.actions.create_token import NewToken, create_token
from scheduling.actions.offices.create_office import NewOffice, create_office
from scheduling.engine.events.tallies import fold_events

BY_BENCHMARK = Operator(actor="benchmarks", door="command")
MILLISECONDS = 1_000
ASKED = 30
FILL = """
INSERT INTO scheduling_run (
    id, scope, office_id, name, role, assignee, unmet, awaited, trigger, asked_digest, task, args,
    params, queue, routing, reporting, priority, retry_backoff, retry_jitter, non_retryable_codes,
    state, reason, attempt, attempt_id, retry_count, lost_count, created_at, publish_count,
    started_at, finished_at, error, error_code
) SELECT
    gen_random_uuid(), 'real', %(office)s, 'r' || n, '', '', 0, false, 'manual', '', %(task)s, '[]',
    '{}', %(queue)s, '{}', '', 0, 'exponential', false, '[]',
    'done', '', 1, gen_random_uuid(), 0, 0, now() - interval '1 day', 1,
    now() - interval '1 hour', now() - interval '59 minutes', '', ''
FROM generate_series(1, %(runs)s) AS n;
INSERT INTO scheduling_attempt (
    id, run_id, number, reporter, renewals, started_at, finished_at, outcome, error, error_code,
    stop_for
) SELECT attempt_id, id, 1, '', 0, started_at, finished_at, 'done', '', '', '' FROM scheduling_run;
INSERT INTO scheduling_runevent (seq, scope, kind, run_id, attempt, at)
SELECT row_number() OVER (), 'real', 'job_completed', id, 1, finished_at FROM scheduling_run;
ANALYZE;
"""


def run(runs: int) -> dict[str, Any]:
    """Return the milliseconds of the median and of the longest answer, and the seconds of folding.

    PostgreSQL only: the rows are made by the database.
    """
    user = get_user_model().objects.create_user("bench")
    token = create_token(
        NewToken(name="bench", access="read", scope="real", office_id=""), BY_BENCHMARK, user=user
    )
    client = Client(headers={"Authorization": f"Bearer {token}"}, SERVER_NAME="127.0.0.1")
    office = create_office(NewOffice(scope="real", office_id="hq"), BY_BENCHMARK)
    given: dict[str, Any] = {"office": office.pk, "task": NOOP, "queue": OUR_QUEUE, "runs": runs}
    with connection.cursor() as cursor:
        for statement in FILL.split(";\n"):
            if statement.strip():
                cursor.execute(statement, given if "%(" in statement else None)
    began = time.perf_counter()
    while fold_events("real"):
        pass
    folded = time.perf_counter() - began
    times = []
    for _ in range(ASKED):
        began = time.perf_counter()
        told = client.get("/api/offices/hq/scheduler/stats").json()
        times.append((time.perf_counter() - began) * MILLISECONDS)
    if told["done"] != runs:
        raise RuntimeError(f"told: {told}")
    return {"median": median(times), "longest": max(times), "folded": folded}
