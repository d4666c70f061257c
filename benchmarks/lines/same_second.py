"""Very many jobs due in the same second: how long until all of them are on the broker."""

import time
from dataclasses import dataclass
from statistics import median
from subprocess import Popen

from benchmarks.apps import OUR_QUEUE
from benchmarks.broker import depth_of
from benchmarks.report import Figure
from benchmarks.rig import PLATFORM, STOCK, Rig, a_rig, analyze, cpu_seconds, new_database
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
    ours, two, stock = [], [], []
    for _ in range(rounds):
        ours.append(_one_round(kind, jobs, PLATFORM))
        two.append(_one_round(kind, jobs, PLATFORM, beats=2))
        stock.append(_one_round(kind, jobs, STOCK))
    counts = ", ".join(f"{one.messages:,}" for one in stock)
    return [
        Figure(
            what=what,
            who="ours",
            unit="s",
            rounds=[one.seconds for one in ours],
            reach=reach,
            note=f"of that {median(one.cpu_seconds for one in ours):.2g} s of a processor",
        ),
        Figure(what=what, who="two of ours", unit="s", rounds=[one.seconds for one in two]),
        Figure(
            what=what,
            who="stock beat",
            unit="s",
            rounds=[one.seconds * jobs / max(one.messages, 1) for one in stock],
            note=f"{counts} after {LONGEST_SECONDS} s, extrapolated",
        ),
    ]


@dataclass(frozen=True)
class _Told:
    """One round: how long it took, at most the longest; how many messages had come by then."""

    seconds: float
    messages: int
    cpu_seconds: float


def _one_round(kind: type[Server], jobs: int, settings_module: str, *, beats: int = 1) -> _Told:
    with running(PostgreSQL) as database, running(kind) as broker, a_rig() as rig:
        rig.database_url = new_database(database.url, "bench")
        rig.broker_url, rig.settings_module = broker.url, settings_module
        rig.migrate()
        due_at = float(round(time.time() + START_SECONDS + jobs / ROWS_A_SECOND))
        beat, queue = _seed_and_start(rig, jobs, due_at)
        for _ in range(beats - 1):
            _start_ours(rig)
        if time.time() > due_at - START_SECONDS / 2:
            raise RuntimeError("this machine is too slow for the time allowed: raise START_SECONDS")
        time.sleep(max(0, due_at - time.time() - 1))
        used = cpu_seconds(beat)
        with depth_of(broker.url, queue) as depth:
            count, at = depth.wait_for(jobs, seconds=due_at + LONGEST_SECONDS - time.time())
        return _Told(at - due_at, count, cpu_seconds(beat) - used)


def _seed_and_start(rig: Rig, jobs: int, due_at: float) -> tuple[Popen[bytes], str]:
    """Write the jobs, start a beat; return it and the queue that they go to."""
    if rig.settings_module == STOCK:
        rig.step("seed_schedules", rows=jobs, queue=None, due_at=due_at)
        analyze(rig.database_url)
        schedule = str(rig.directory / "schedule")
        return rig.start("celery", "-A", "benchmarks.apps.stock", "beat", "-s", schedule), "celery"
    rig.step("seed_jobs", jobs=jobs, due_at=due_at)
    analyze(rig.database_url)
    return _start_ours(rig), OUR_QUEUE


def _start_ours(rig: Rig) -> Popen[bytes]:
    return rig.start("celery", "-A", "benchmarks.apps.ours", "beat")
