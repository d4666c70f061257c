"""A beat with very many jobs of which none is due: what a turn costs, and the memory it takes."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.apps import OUR_QUEUE
from benchmarks.report import Figure
from benchmarks.rig import STOCK, Rig, a_rig, analyze, new_database
from benchmarks.servers import running
from opsproject.servers.postgresql import PostgreSQL
from opsproject.servers.valkey import Valkey

NAME = "idle"
TURNS = 100
STOCK_TURNS = 5
START_SECONDS = 20.0
ROWS_A_SECOND = 1_000  # looked at by a beat that starts, even on a slow machine
MEGABYTE = 1_000_000
KIB = 1024


@dataclass
class Told:
    """What one contestant took: milliseconds of each turn by round, and megabytes by round."""

    turns: list[list[float]] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)


def measure(*, jobs: int = 100_000, rounds: int = 3) -> list[Figure]:
    """Return milliseconds a turn and megabytes, on PostgreSQL and on SQLite."""
    figures: list[Figure] = []
    with running(PostgreSQL) as server, running(Valkey) as broker:
        for database in ("PostgreSQL", "SQLite"):
            told = {}
            for who, tell in (("ours", _ours), ("stock beat", _stock)):
                with a_rig(broker_url=broker.url) as rig:
                    rig.database_url = (
                        new_database(server.url, "bench")
                        if database == "PostgreSQL"
                        else f"sqlite:///{rig.directory}/bench.sqlite3"
                    )
                    told[who] = tell(rig, jobs, rounds)
            figures += _figures(f"at {jobs:,} jobs, {database}", told)
    return figures


def _ours(rig: Rig, jobs: int, rounds: int) -> Told:
    rig.migrate()
    rig.step("seed_jobs", jobs=jobs)
    analyze(rig.database_url)
    told = Told()
    for _ in range(rounds):
        told.turns.append(rig.step("idle_turns", turns=TURNS))
        told.megabytes.append(_megabytes_of_a_beat(rig, "benchmarks.apps.ours", jobs))
    return told


def _stock(rig: Rig, jobs: int, rounds: int) -> Told:
    rig.settings_module = STOCK
    rig.migrate()
    rig.step("seed_schedules", rows=jobs, queue=OUR_QUEUE)
    analyze(rig.database_url)
    told = Told()
    for _ in range(rounds):
        told.turns.append(rig.step("stock_ticks", turns=STOCK_TURNS))
        told.megabytes.append(_megabytes_of_a_beat(rig, "benchmarks.apps.stock", jobs))
    return told


def _megabytes_of_a_beat(rig: Rig, app: str, jobs: int) -> float:
    """Return the largest resident size of `celery beat` until it has seen all jobs."""
    beat = rig.start("celery", "-A", app, "beat", "-s", str(rig.directory / "schedule"))
    time.sleep(START_SECONDS + jobs / ROWS_A_SECOND)
    lines = Path(f"/proc/{beat.pid}/status").read_text(encoding="utf-8").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    rig.end(beat)
    return int(peak) * KIB / MEGABYTE


def _figures(where: str, told: dict[str, Told]) -> list[Figure]:
    turns = [
        Figure(
            what=f"idle turn {where}",
            who=who,
            unit="ms",
            rounds=[median(turns) for turns in one.turns],
            reach="≤ 10 ms" if who == "ours" else "",
            note=f"longest {max(map(max, one.turns)):,.0f} ms",
        )
        for who, one in told.items()
    ]
    memory = [
        Figure(
            what=f"celery beat's memory {where}",
            who=who,
            unit="MB",
            rounds=one.megabytes,
            reach="≤ 100 MB" if who == "ours" else "",
        )
        for who, one in told.items()
    ]
    return turns + memory
