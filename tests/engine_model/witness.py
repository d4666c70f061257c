"""A witness in the database itself: triggers that note every change of every run and event.

Whatever code writes, and by whatever statement, it is seen; and what is rolled back is forgotten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from scheduling.fence import Fence
from scheduling.states import HOLDING_SLOT, RunState

HOLDING = ", ".join(sorted(f"'{state.value}'" for state in HOLDING_SLOT))
NOTE_CHANGE = f"""
    INSERT INTO witness (run_id, job_id, before, after, attempt_before, attempt, held, slots)
    VALUES (NEW.id, NEW.job_id, OLD.state, NEW.state, OLD.attempt, NEW.attempt,
        (SELECT COUNT(*) FROM scheduling_run WHERE job_id = NEW.job_id AND state IN ({HOLDING})),
        (SELECT max_parallel FROM scheduling_job WHERE id = NEW.job_id));
"""  # noqa: S608 nothing in it comes from outside
NOTE_NUMBER = "INSERT INTO witness_of_events (before, after) VALUES (OLD.seq, NEW.seq);"
TABLES = (
    """CREATE TABLE witness (number {key}, run_id {id}, job_id bigint, before text, after text,
        attempt_before bigint, attempt bigint, held bigint, slots bigint)""",
    "CREATE TABLE witness_of_events (number {key}, before bigint, after bigint)",
)
TRIGGERS = (
    ("witness_sees", "scheduling_run", NOTE_CHANGE),
    ("witness_counts", "scheduling_runevent", NOTE_NUMBER),
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One update of a run's row; `held` of its job's `slots` were taken right after it."""

    run_id: UUID
    job_id: int
    before: RunState
    after: RunState
    attempt_before: int
    attempt: int
    held: int
    slots: int

    @property
    def fence(self) -> Fence:
        """The attempt that the change was about."""
        return Fence(self.run_id, self.attempt_before)


def call_the_witness() -> None:
    """Have every later change noted, until the test's transaction is rolled back."""
    sqlite = connection.vendor == "sqlite"
    types = {"key": "integer PRIMARY KEY" if sqlite else "bigserial PRIMARY KEY"}
    types["id"] = "text" if sqlite else "uuid"
    statements = [table.format(**types) for table in TABLES]
    for trigger in TRIGGERS:
        statements += _on_sqlite(*trigger) if sqlite else _on_postgresql(*trigger)
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _on_sqlite(name: str, table: str, note: str) -> list[str]:
    return [f"CREATE TRIGGER {name} AFTER UPDATE ON {table} BEGIN {note} END"]


def _on_postgresql(name: str, table: str, note: str) -> list[str]:
    body = f"LANGUAGE plpgsql AS $$ BEGIN {note} RETURN NULL; END $$"
    return [
        f"CREATE FUNCTION {name}() RETURNS trigger {body}",
        f"CREATE TRIGGER {name} AFTER UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()",
    ]


def hear_of_changes() -> Iterator[Change]:
    """Yield what was noted of runs since the last time, in its order."""
    names = ("attempt_before", "attempt", "held", "slots")
    columns = ("run_id", "job_id", "before", "after", *names)
    for run_id, job_id, before, after, *counts in _hear("witness", columns):
        yield Change(
            run_id=UUID(str(run_id)),
            job_id=job_id,
            before=RunState(before),
            after=RunState(after),
            **dict(zip(names, counts, strict=True)),
        )


def hear_of_numbers() -> list[tuple[int | None, int | None]]:
    """Return the numbers that events had and got since the last time, in that order."""
    return [(before, after) for before, after in _hear("witness_of_events", ("before", "after"))]


def _hear(table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY number")  # noqa: S608 our own names
        rows = list(cursor.fetchall())
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608 the same
    return rows
