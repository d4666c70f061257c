"""FLUSHALL on the broker while runs are queued: how long until every one of them is done, once."""

import time

import redis

from benchmarks.apps import OUR_QUEUE
from benchmarks.report import Figure
from benchmarks.rig import a_rig, new_database
from benchmarks.servers import running
from benchmarks.worker import worker
from opsproject.servers.postgresql import PostgreSQL
from opsproject.servers.valkey import Valkey

NAME = "recovery"
START_SECONDS = 10.0
LONGEST_SECONDS = 180.0


def measure(*, runs: int = 1_000, rounds: int = 3) -> list[Figure]:
    """Return the seconds from the flush to the last end; raise if a run is missing or doubled."""
    return [
        Figure(
            what=f"FLUSHALL with {runs:,} runs queued → all done",
            who="ours",
            unit="s",
            rounds=[_one_round(runs) for _ in range(rounds)],
            note="each of them once",
        )
    ]


def _one_round(runs: int) -> float:
    with running(PostgreSQL) as database, running(Valkey) as broker, a_rig() as rig:
        rig.database_url, rig.broker_url = new_database(database.url, "bench"), broker.url
        rig.migrate()
        rig.start("celery", "-A", "benchmarks.apps.ours", "beat")
        time.sleep(START_SECONDS)
        rig.step("fill_queue", runs=runs)
        with redis.Redis.from_url(broker.url) as client:
            client.flushall()
        flushed_at = time.time()
        # Only now, or it would have done half of them before.
        rig.start(*worker("benchmarks.apps.ours", "-Q", OUR_QUEUE))
        told = rig.step("await_runs", seconds=LONGEST_SECONDS)
        if (told["done"], told["attempts"]) != (runs, runs):
            raise RuntimeError(f"of {runs} runs: {told}; see {rig.log}")
        return float(told["last_at"] - flushed_at)
