"""Offices: submitting very much work, unlocking what waits, counting what is behind."""

from statistics import quantiles

from benchmarks.report import Figure
from benchmarks.rig import Rig, a_rig, analyze, new_database
from benchmarks.servers import running
from benchmarks.worker import worker
from opsproject.servers.postgresql import PostgreSQL
from opsproject.servers.valkey import Valkey

NAME = "offices"
BATCH = 10_000
DEPENDS_ON = 2
UNLOCK_SECONDS = 240.0
REACH_OF_ONE = {"PostgreSQL": "≤ 3 s", "SQLite": "≤ 5 s"}


def measure(
    *, batches: int = 10, row: int = 500, finished: int = 1_000_000, rounds: int = 3
) -> list[Figure]:
    """Return what it takes to submit, to unlock and to count."""
    figures: list[Figure] = []
    with running(PostgreSQL) as server, running(Valkey) as broker:
        for database in ("PostgreSQL", "SQLite"):
            told = [_submit(server.url, broker.url, database, batches) for _ in range(rounds)]
            figures += _of_submitting(database, batches, told)
        unlocked = [_unlock(server.url, broker.url, row) for _ in range(rounds)]
        figures += _of_unlocking(row, unlocked)
        figures += _of_counting(server.url, broker.url, finished)
    return figures


def _database(rig: Rig, server_url: str, kind: str) -> str:
    if kind == "PostgreSQL":
        return new_database(server_url, "bench")
    return f"sqlite:///{rig.directory}/bench.sqlite3"


def _submit(server_url: str, broker_url: str, kind: str, batches: int) -> dict[str, list[float]]:
    with a_rig(broker_url=broker_url) as rig:
        rig.database_url = _database(rig, server_url, kind)
        rig.migrate()
        told = rig.step("submit_offices", requests=batches, runs=BATCH, depends_on=DEPENDS_ON)
        return {
            "first": [told["seconds"][0]],
            "all": [sum(told["seconds"])],
            "transaction": [told["longest_ms"]],
            "memory": [told["megabytes"]],
        }


def _of_submitting(kind: str, batches: int, told: list[dict[str, list[float]]]) -> list[Figure]:
    runs, waits = BATCH * batches, BATCH * batches * DEPENDS_ON

    def figure(key: str, what: str, unit: str, reach: str, note: str = "") -> Figure:
        rounds = [value for one in told for value in one[key]]
        return Figure(what=what, who="ours", unit=unit, rounds=rounds, reach=reach, note=note)

    one = f"submit {BATCH:,} runs, {BATCH * DEPENDS_ON:,} dependencies, {kind}"
    many = f"submit {runs:,} runs, {waits:,} dependencies, {kind}"
    return [
        figure("first", one, "s", REACH_OF_ONE[kind], "one request"),
        figure("all", many, "s", "≤ 30 s", f"{batches} requests"),
        figure("transaction", f"{many}: longest transaction", "ms", "≤ 250 ms"),
        figure("memory", f"{many}: memory", "MB", "≤ 400 MB"),
    ]


def _unlock(server_url: str, broker_url: str, row: int) -> list[float]:
    with a_rig(broker_url=broker_url) as rig:
        rig.database_url = new_database(server_url, "bench")
        rig.migrate()
        rig.start("celery", "-A", "benchmarks.apps.ours", "beat")
        rig.start(*worker("benchmarks.apps.ours"))
        waits: list[float] = rig.step(
            "unlock_chain", runs=row, seconds=UNLOCK_SECONDS, broker_url=broker_url
        )
        return waits


def _of_unlocking(row: int, unlocked: list[list[float]]) -> list[Figure]:
    what = f"a run is done → its dependent's message is on the broker, {row} in a row"
    cuts = [quantiles(waits, n=100) for waits in unlocked]
    return [
        Figure(what=f"{what}, p50", who="ours", unit="ms", rounds=[cut[49] for cut in cuts]),
        Figure(
            what=f"{what}, p99",
            who="ours",
            unit="ms",
            rounds=[cut[98] for cut in cuts],
            reach="≤ 50 ms",
        ),
    ]


def _of_counting(server_url: str, broker_url: str, finished: int) -> list[Figure]:
    with a_rig(broker_url=broker_url) as rig:
        rig.database_url = new_database(server_url, "bench")
        rig.migrate()
        analyze(rig.database_url)
        told = rig.step("office_stats", runs=finished)
    note = f"the longest {told['longest']:.0f} ms; folded in {told['folded']:.0f} s"
    return [
        Figure(
            what=f"GET stats with {finished:,} finished runs, PostgreSQL",
            who="ours",
            unit="ms",
            rounds=[told["median"]],
            reach="≤ 50 ms",
            note=note,
        )
    ]
