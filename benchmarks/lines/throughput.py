"""Runs a second through the whole durable life cycle, beside raw Celery and two that keep records.

Every contestant finds its messages waiting when its worker of two processes starts, and is timed
from the start of its first task to the end of its last: ours and Procrastinate by what their
database says, the two Celerys by a task before and one behind the no-ops.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
from celery import Celery

from benchmarks.apps import MARK, NOOP, OUR_QUEUE, SHORT_NOOP
from benchmarks.apps.marks import MARKS
from benchmarks.report import Figure
from benchmarks.rig import PLATFORM, Rig, a_rig, analyze, new_database
from benchmarks.servers import running
from benchmarks.worker import worker
from opsproject.servers.postgresql import PostgreSQL
from opsproject.servers.valkey import Valkey
from tests.servers import wait_for

NAME = "throughput"
WHAT = "durable runs/s, PostgreSQL, one message a run"
LONGEST_SECONDS = 300

Contestant = Callable[[Rig, int], float]


def measure(*, runs: int = 20_000, rounds: int = 3, only: str = "") -> list[Figure]:
    """Return the runs a second of each contestant; `only` names one of them."""
    chosen = {name: run for name, run in CONTESTANTS.items() if only in ("", name)}
    rates: dict[str, list[float]] = {name: [] for name in chosen}
    with running(PostgreSQL) as database, running(Valkey) as broker, a_rig() as rig:
        rig.broker_url = broker.url
        for _ in range(rounds):
            for name, contestant in chosen.items():
                rig.database_url = new_database(database.url, "bench")
                rates[name].append(contestant(rig, runs))
    return [
        Figure(what=WHAT, who=name, unit="/s", rounds=rates[name], reach=REACH.get(name, ""))
        for name in chosen
    ]


def ours(rig: Rig, runs: int) -> float:
    """The platform: every start and every end is a committed row before the next step."""
    return _ours(rig, runs, NOOP)


def batched(rig: Rig, runs: int) -> float:
    """The same for a task that declares `runs_per_message=50`."""
    return _ours(rig, runs, SHORT_NOOP)


def _ours(rig: Rig, runs: int, task: str) -> float:
    rig.migrate()
    rig.step("fill_queue", runs=runs, task=task)
    analyze(rig.database_url)
    process = rig.start(*worker("benchmarks.apps.ours", "-Q", OUR_QUEUE))
    _show(process.pid, rig)
    told = rig.step("await_runs", seconds=LONGEST_SECONDS)
    rig.end(process)
    if told["done"] != runs:
        raise RuntimeError(f"{told['done']} of {runs} runs are done: see {rig.log}")
    return float(runs / told["seconds"])


def raw(rig: Rig, runs: int) -> float:
    """Celery alone: nothing is kept, and a message is acknowledged before its task runs."""
    return _marked(rig, runs, "benchmarks.apps.raw")


def results(rig: Rig, runs: int) -> float:
    """Celery with django-celery-results: one row when a task has ended."""
    rig.settings_module = "benchmarks.apps.results_settings"
    rig.migrate()
    rig.settings_module = PLATFORM
    rate = _marked(rig, runs, "benchmarks.apps.results")
    with psycopg.connect(rig.database_url) as connection:
        row = connection.execute("SELECT count(*) FROM django_celery_results_taskresult").fetchone()
    if row is None or row[0] < runs:
        raise RuntimeError(f"django-celery-results kept {row} of {runs}: see {rig.log}")
    return rate


def procrastinate(rig: Rig, runs: int) -> float:
    """Procrastinate: a row per task and three events, without a broker."""
    queue = ["procrastinate", "--app", "benchmarks.apps.queue_in_postgres.app"]
    rig.start(*queue, "schema", "--apply").wait()
    with psycopg.connect(rig.database_url) as connection:
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args)"
            " SELECT 'default', %s, '{}' FROM generate_series(1, %s)",
            [NOOP, runs],
        )
    analyze(rig.database_url)
    process = rig.start(*queue, "worker", "--concurrency", "2", "--one-shot")
    _show(process.pid, rig)
    process.wait(LONGEST_SECONDS)
    with psycopg.connect(rig.database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE type = 'succeeded'),"
            " extract(epoch FROM max(at) - min(at) FILTER (WHERE type = 'started'))"
            " FROM procrastinate_events"
        ).fetchone()
    if row is None or row[0] != runs:
        raise RuntimeError(f"Procrastinate did {row} of {runs}: see {rig.log}")
    return runs / float(row[1])


CONTESTANTS: dict[str, Contestant] = {
    "ours": ours,
    "ours, 50 runs a message": batched,
    "raw Celery": raw,
    "Celery + django-celery-results": results,
    "Procrastinate": procrastinate,
}
REACH = {"ours": "≥ 0.8 × raw Celery", "ours, 50 runs a message": "> 1.0 × raw Celery"}


def _marked(rig: Rig, runs: int, app: str) -> float:
    marks = Path(rig.directory, "marks")
    marks.unlink(missing_ok=True)
    rig.settings = {MARKS: str(marks)}
    with Celery(broker=rig.broker_url) as sender, sender.producer_or_acquire() as producer:
        for name in (MARK, *[NOOP] * runs, MARK):
            sender.send_task(name, producer=producer)
    process = rig.start(*worker(app))
    _show(process.pid, rig)
    wait_for(lambda: len(_times(marks)) > 1, seconds=LONGEST_SECONDS, what=f"{app} has ended")
    rig.end(process)
    first, last = _times(marks)
    return runs / (last - first)


def _times(marks: Path) -> list[float]:
    return [float(line) for line in marks.read_text().split()] if marks.exists() else []


def _show(pid: int, rig: Rig) -> None:
    """Leave room for a profiler: `uvx py-spy record --pid …` while it runs."""
    sys.stderr.write(f"worker pid {pid}, log {rig.log}\n")
