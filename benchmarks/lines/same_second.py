"""Very many jobs due in the same second: how long until all of them are on the broker."""

import time

from benchmarks.apps import OUR_QUEUE
from benchmarks.broker import depth_of
from benchmarks.report import Figure
from benchmarks.rig import PLATFORM, STOCK, Rig, a_rig, analyze, new_database
from benchmarks.servers import running
from opsproject.servers.postgresql import PostgreSQL
from opsproject.servers.rabbitmq import RabbitMQ
from opsproject.servers.server import Server
from opsproject.servers.valkey import Valkey

NAME = "same-second"
LONGEST_SECONDS = 60
ROWS_A_SECOND = 400  # seeded, even on a slow machine
START_SECONDS = 20  # a beat has started and looked around

BROKERS: tuple[tuple[type[Server], str, str], ...] = (
    (Valkey, "Valkey", "≤ 5 s"),
    (RabbitMQ, "RabbitMQ, confirmed", "≤ 10 s"),
)


def measure(*, jobs: int = 10_000, rounds: int = 3) -> list[Figure]:
    """Return the seconds from the instant that they are due to the last message."""
    return [
        figure
        for kind, name, reach in BROKERS
        for figure in _measure_on(kind, name, reach, jobs=jobs, rounds=rounds)
    ]


def _measure_on(
    kind: type[Server], name: str, reach: str, *, jobs: int, rounds: int
) -> list[Figure]:
    what = f"{jobs:,} jobs due in the same second, {name}"
    ours, stock, counts = [], [], []
    for _ in range(rounds):
        ours.append(_one_round(kind, jobs, PLATFORM)[0])
        seconds, count = _one_round(kind, jobs, STOCK)
        stock.append(seconds * jobs / max(count, 1))
        counts.append(f"{count:,}")
    note = f"{', '.join(counts)} after {LONGEST_SECONDS} s, extrapolated"
    return [
        Figure(what=what, who="ours", unit="s", rounds=ours, reach=reach),
        Figure(what=what, who="stock beat", unit="s", rounds=stock, note=note),
    ]


def _one_round(kind: type[Server], jobs: int, settings_module: str) -> tuple[float, int]:
    """Return the seconds that it took, at most the longest, and how many messages had come."""
    with running(PostgreSQL) as database, running(kind) as broker, a_rig() as rig:
        rig.database_url = new_database(database.url, "bench")
        rig.broker_url, rig.settings_module = broker.url, settings_module
        rig.migrate()
        due_at = float(round(time.time() + START_SECONDS + jobs / ROWS_A_SECOND))
        queue = _seed_and_start(rig, jobs, due_at)
        if time.time() > due_at - START_SECONDS / 2:
            raise RuntimeError("this machine is too slow for the time allowed: raise START_SECONDS")
        time.sleep(max(0, due_at - time.time() - 1))
        with depth_of(broker.url, queue) as depth:
            count, at = depth.wait_for(jobs, seconds=due_at + LONGEST_SECONDS - time.time())
        return at - due_at, count


def _seed_and_start(rig: Rig, jobs: int, due_at: float) -> str:
    """Write the jobs, start a beat, and return the queue that they go to."""
    if rig.settings_module == STOCK:
        rig.step("seed_schedules", rows=jobs, queue=None, due_at=due_at)
        analyze(rig.database_url)
        rig.start("celery", "-A", "benchmarks.apps.stock", "beat", "-s", str(rig.directory / "s"))
        return "celery"
    rig.step("seed_jobs", jobs=jobs, due_at=due_at)
    analyze(rig.database_url)
    rig.start("celery", "-A", "benchmarks.apps.ours", "beat")
    return OUR_QUEUE
