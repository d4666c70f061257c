"""A beat among very many periodic tasks that others wrote: taking them over, keeping in step."""

from statistics import median
from typing import Any

from benchmarks.report import Figure
from benchmarks.rig import STOCK, Rig, a_rig, new_database
from benchmarks.servers import running
from opsproject.servers.postgresql import PostgreSQL

NAME = "adoption"
MEGABYTE = 1_000_000


def measure(*, rows: int = 100_000, rounds: int = 3) -> list[Figure]:
    """Return figures on PostgreSQL and on SQLite; each round is a beat that starts anew."""
    figures: list[Figure] = []
    with running(PostgreSQL) as server:
        for database in ("PostgreSQL", "SQLite"):
            with a_rig() as rig:
                rig.database_url = (
                    new_database(server.url, "bench")
                    if database == "PostgreSQL"
                    else f"sqlite:///{rig.directory}/bench.sqlite3"
                )
                adopted, *restarted = _follow(rig, rows, rounds)
            figures += _figures(f"{rows:,} rows, {database}", rows, adopted, restarted)
    return figures


def _follow(rig: Rig, rows: int, rounds: int) -> list[Any]:
    """Fill the database as stock django-celery-beat does, then take it over."""
    ours, rig.settings_module = rig.settings_module, STOCK
    rig.migrate()
    rig.step("seed_schedules", rows=rows, queue=None)
    rig.settings_module = ours
    rig.migrate()
    told = [rig.step("follow_rows") for _ in range(1 + rounds)]
    if told[-1]["jobs"] != rows:
        raise RuntimeError(f"{told[-1]['jobs']} of {rows} rows are jobs: see {rig.log}")
    return told


def _figures(where: str, rows: int, adopted: Any, restarted: list[Any]) -> list[Figure]:
    walks = [one["round"] for one in restarted]

    def figure(
        what: str, unit: str, rounds: list[float], reach: str = "", note: str = ""
    ) -> Figure:
        return Figure(
            what=f"{what}, {where}", who="ours", unit=unit, rounds=rounds, reach=reach, note=note
        )

    return [
        figure("taken over", "rows/s", [rows / adopted["first"]]),
        figure("first look of a new beat", "s", [one["first"] for one in restarted]),
        figure(
            "slice of a walk",
            "ms",
            [median(walk) for walk in walks],
            "≤ 20 ms",
            f"{max(map(len, walks))} slices, longest {max(map(max, walks)):,.0f} ms",
        ),
        figure("whole walk", "ms", [sum(walk) for walk in walks]),
        figure("save() to effect", "ms", [one["saved"] for one in restarted], "≤ 1,000 ms"),
        figure("update() to effect once walked", "ms", [one["updated"] for one in restarted]),
        figure(
            "memory",
            "MB",
            [one["peak_bytes"] / MEGABYTE for one in restarted],
            "≤ 100 MB",
        ),
    ]
