"""An edit of one job among very many: how long until its message is on the broker.

The row of an idle job is set to be due now, as the stock admin would; with stock beat the same.
"""

import time

from benchmarks.apps import OUR_QUEUE
from benchmarks.broker import depth_of
from benchmarks.report import Figure
from benchmarks.rig import STOCK, Rig, a_rig, analyze, new_database
from benchmarks.servers import running
from opsproject.servers.postgresql import PostgreSQL
from opsproject.servers.valkey import Valkey

NAME = "edits"
START_SECONDS = 30.0
ROWS_A_SECOND = 1_000  # looked at by a beat that starts, even on a slow machine
BETWEEN_SECONDS = 3.0
LONGEST_SECONDS = 120.0
MILLISECONDS = 1_000


def measure(*, jobs: int = 100_000, rounds: int = 5) -> list[Figure]:
    """Return milliseconds from the commit of the edit to the message, one edit a round."""
    what = f"edit to effect at {jobs:,} jobs, PostgreSQL"
    ours, stock = _measure_ours(jobs, rounds), _measure_stock(jobs, rounds)
    return [
        Figure(what=what, who="ours", unit="ms", rounds=ours, reach="≤ 1,000 ms"),
        Figure(what=what, who="stock beat", unit="ms", rounds=stock),
    ]


def _measure_ours(jobs: int, rounds: int) -> list[float]:
    with running(PostgreSQL) as database, running(Valkey) as broker, a_rig() as rig:
        rig.database_url, rig.broker_url = new_database(database.url, "bench"), broker.url
        rig.migrate()
        rig.step("seed_jobs", jobs=jobs)
        return _edit_beside(rig, "benchmarks.apps.ours", OUR_QUEUE, jobs, rounds)


def _measure_stock(jobs: int, rounds: int) -> list[float]:
    with running(PostgreSQL) as database, running(Valkey) as broker, a_rig() as rig:
        rig.database_url, rig.broker_url = new_database(database.url, "bench"), broker.url
        rig.settings_module = STOCK
        rig.migrate()
        rig.step("seed_schedules", rows=jobs, queue=None)
        return _edit_beside(rig, "benchmarks.apps.stock", "celery", jobs, rounds)


def _edit_beside(rig: Rig, app: str, queue: str, jobs: int, rounds: int) -> list[float]:
    analyze(rig.database_url)
    rig.start("celery", "-A", app, "beat", "-s", str(rig.directory / "schedule"))
    time.sleep(START_SECONDS + jobs / ROWS_A_SECOND)
    late = []
    with depth_of(rig.broker_url, queue) as depth:
        for number in range(rounds):
            time.sleep(BETWEEN_SECONDS)
            before = depth.now()
            committed_at = rig.step("edit_to_now", number=number)
            count, at = depth.wait_for(before + 1, seconds=LONGEST_SECONDS)
            if count == before:
                raise RuntimeError(f"the edit had no effect in {LONGEST_SECONDS} s: see {rig.log}")
            late.append((at - committed_at) * MILLISECONDS)
    return late
