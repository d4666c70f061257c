"""From the instant that a job is due to the first line of its task, on a system that is idle."""

import time
from statistics import quantiles

from benchmarks.report import Figure
from benchmarks.rig import Rig, a_rig, new_database
from benchmarks.servers import running
from benchmarks.worker import worker
from opsproject.servers.postgresql import PostgreSQL
from opsproject.servers.valkey import Valkey

NAME = "latency"
WHAT = "due → task body starts, idle system"
JOBS = 20
EVERY_SECONDS = 10.0
SETTLING_SECONDS = 20.0


def measure(*, seconds: int = 60, rounds: int = 3) -> list[Figure]:
    """Return the 50th and the 99th percentile of each round, in milliseconds."""
    told = [_one_round(seconds) for _ in range(rounds)]
    median = [quantiles(late, n=100)[49] * 1000 for late in told]
    worst = [quantiles(late, n=100)[98] * 1000 for late in told]
    note = f"{', '.join(str(len(late)) for late in told)} runs"
    return [
        Figure(what=f"{WHAT}, p50", who="ours", unit="ms", rounds=median, note=note),
        Figure(what=f"{WHAT}, p99", who="ours", unit="ms", rounds=worst, reach="≤ 100 ms"),
    ]


def _one_round(seconds: int) -> list[float]:
    with running(PostgreSQL) as database, running(Valkey) as broker, a_rig() as rig:
        rig.database_url, rig.broker_url = new_database(database.url, "bench"), broker.url
        return _late(rig, seconds)


def _late(rig: Rig, seconds: int) -> list[float]:
    stamps = str(rig.directory / "stamps")
    rig.migrate()
    rig.start("celery", "-A", "benchmarks.apps.ours", "beat")
    rig.start(*worker("benchmarks.apps.ours"))
    rig.step("seed_staggered", jobs=JOBS, every_seconds=EVERY_SECONDS, path=stamps)
    time.sleep(SETTLING_SECONDS + seconds)
    late: list[float] = rig.step("lateness", path=stamps)
    settled = int(SETTLING_SECONDS * JOBS / EVERY_SECONDS)
    return late[settled:]
