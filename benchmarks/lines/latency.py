"""From the instant that a job is due to the first line of its task, on a system that is idle."""

import time
from pathlib import Path
from statistics import quantiles

from benchmarks.disk import slowest_percent_of_writes
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
MEMORY = Path("/dev/shm")  # noqa: S108 a file system without a disk behind it


def measure(*, seconds: int = 60, rounds: int = 3) -> list[Figure]:
    """Return the 50th and the 99th percentile of each round, in milliseconds.

    A start is four commits: with the database's files in memory it is the platform that is
    measured, on a disk the disk as well, whose own slowest percent is told beside it.
    """
    figures = _figures("files in memory", MEMORY, seconds, rounds, reach="≤ 100 ms")
    disk = [slowest_percent_of_writes() for _ in range(rounds)]
    figures += _figures("files on this disk", None, seconds, rounds)
    what = figures[-1].what
    return [*figures, Figure(what=what, who="one fdatasync, p99", unit="ms", rounds=disk)]


def _figures(
    where: str, within: Path | None, seconds: int, rounds: int, *, reach: str = ""
) -> list[Figure]:
    told = [_one_round(seconds, within) for _ in range(rounds)]
    middle = [quantiles(late, n=100)[49] * 1000 for late in told]
    slowest = [quantiles(late, n=100)[98] * 1000 for late in told]
    note = f"{', '.join(str(len(late)) for late in told)} runs"
    what = f"{WHAT}, {where}"
    return [
        Figure(what=f"{what}, p50", who="ours", unit="ms", rounds=middle, note=note),
        Figure(what=f"{what}, p99", who="ours", unit="ms", rounds=slowest, reach=reach),
    ]


def _one_round(seconds: int, within: Path | None) -> list[float]:
    with running(PostgreSQL, within=within) as database, running(Valkey) as broker, a_rig() as rig:
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
