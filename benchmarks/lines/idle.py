"""A beat with very many jobs of which none is due: what a turn costs, and the memory it takes."""

from statistics import median
from typing import Any

from benchmarks.apps import OUR_QUEUE
from benchmarks.report import Figure
from benchmarks.rig import STOCK, Rig, a_rig, new_database
from benchmarks.servers import running
from opsproject.servers.postgresql import PostgreSQL

NAME = "idle"
TURNS = 100
STOCK_TURNS = 5
MEGABYTE = 1_000_000


def measure(*, jobs: int = 100_000, rounds: int = 3) -> list[Figure]:
    """Return milliseconds a turn and megabytes, on PostgreSQL and on SQLite."""
    figures: list[Figure] = []
    with running(PostgreSQL) as server:
        for database in ("PostgreSQL", "SQLite"):
            told = {}
            for who, tell in (("ours", _ours), ("stock beat", _stock)):
                with a_rig() as rig:
                    rig.database_url = (
                        new_database(server.url, "bench")
                        if database == "PostgreSQL"
                        else f"sqlite:///{rig.directory}/bench.sqlite3"
                    )
                    told[who] = tell(rig, jobs, rounds)
            figures += _figures(f"at {jobs:,} jobs, {database}", told)
    return figures


def _ours(rig: Rig, jobs: int, rounds: int) -> list[Any]:
    rig.migrate()
    rig.step("seed_jobs", jobs=jobs)
    return [rig.step("idle_turns", turns=TURNS) for _ in range(rounds)]


def _stock(rig: Rig, jobs: int, rounds: int) -> list[Any]:
    rig.settings_module = STOCK
    rig.migrate()
    rig.step("seed_schedules", rows=jobs, queue=OUR_QUEUE)
    return [rig.step("stock_ticks", turns=STOCK_TURNS) for _ in range(rounds)]


def _figures(where: str, told: dict[str, list[Any]]) -> list[Figure]:
    turns = [
        Figure(
            what=f"idle turn {where}",
            who=who,
            unit="ms",
            rounds=[median(one["milliseconds"]) for one in rounds],
            reach="≤ 10 ms" if who == "ours" else "",
            note=f"longest {max(max(one['milliseconds']) for one in rounds):,.0f} ms",
        )
        for who, rounds in told.items()
    ]
    memory = [
        Figure(
            what=f"its memory {where}",
            who=who,
            unit="MB",
            rounds=[one["peak_bytes"] / MEGABYTE for one in rounds],
            reach="≤ 100 MB" if who == "ours" else "",
        )
        for who, rounds in told.items()
    ]
    return turns + memory
