"""Writes many rows in one statement, each with values of its own.

Django's `bulk_update` writes a CASE with a branch per row and field, and its `bulk_create` a
placeholder per row and field: building and parsing that costs many times what the writing does.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import Field, Model


def update_rows(rows: Sequence[Model], fields: Iterable[str]) -> int:
    """Write the given fields of rows of one model, by primary key; return how many rows there were.

    Part of the caller's transaction, and no larger than that should be: lock the rows before, in
    the order of their ids. Nothing but the fields is touched, no signal is sent.
    """
    if not rows:
        return 0
    meta = type(rows[0])._meta  # noqa: SLF001 Django's documented name for it
    key = meta.pk
    columns = [meta.get_field(name) for name in fields]
    if connection.vendor == "postgresql":
        return _from_arrays(rows, meta.db_table, key, columns)
    return _one_by_one(rows, meta.db_table, key, columns)


def insert_rows(rows: Sequence[Model]) -> None:
    """Insert rows of one model, every field but a key that the database draws.

    Part of the caller's transaction. The objects do not learn their key, no signal is sent.
    """
    if not rows:
        return
    if connection.vendor != "postgresql":
        type(rows[0])._base_manager.bulk_create(rows)  # noqa: SLF001 the model's plain manager
        return
    meta = type(rows[0])._meta  # noqa: SLF001
    columns = [field for field in meta.concrete_fields if not _is_drawn(field, rows[0])]
    names = ", ".join(_quoted(field) for field in columns)
    casts = ", ".join(f"%s::{field.db_type(connection)}[]" for field in columns)
    _execute(
        f"INSERT INTO {_quote(meta.db_table)} ({names})"  # noqa: S608 quoted names of a model
        f" SELECT * FROM unnest({casts})",
        [_values(field, rows) for field in columns],
    )


def _is_drawn(field: Any, row: Model) -> bool:
    """The database draws the key of a row that has none."""
    return field.primary_key and getattr(row, field.attname) is None


def _from_arrays(rows: Sequence[Model], name: str, key: Any, columns: list[Any]) -> int:
    """PostgreSQL: an array a column, joined by the key."""
    casts = ", ".join(f"%s::{field.db_type(connection)}[]" for field in (key, *columns))
    aliases = ", ".join(_quoted(field) for field in (key, *columns))
    settings = ", ".join(f"{_quoted(field)} = fresh.{_quoted(field)}" for field in columns)
    return _execute(
        f"UPDATE {_quote(name)} AS old SET {settings}"  # noqa: S608 quoted names of a model
        f" FROM unnest({casts}) AS fresh({aliases})"
        f" WHERE old.{_quoted(key)} = fresh.{_quoted(key)}",
        [_values(field, rows) for field in (key, *columns)],
    )


def _execute(statement: str, arrays: list[list[Any]]) -> int:
    """Send the arrays as parameters; Django's own cursor would write them into the statement."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, arrays)
        return cursor.rowcount


def _one_by_one(rows: Sequence[Model], name: str, key: Any, columns: list[Any]) -> int:
    """SQLite is in our process: a statement that it prepares once and steps through is fastest."""
    settings = ", ".join(f"{_quoted(field)} = %s" for field in columns)
    values = list(zip(*(_values(field, rows) for field in (*columns, key)), strict=True))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {_quote(name)} SET {settings}"  # noqa: S608 quoted names of a model
            f" WHERE {_quoted(key)} = %s",
            values,
        )
        return int(cursor.rowcount)


def _values(field: "Field[Any, Any]", rows: Sequence[Model]) -> list[Any]:
    real = connections[DEFAULT_DB_ALIAS]  # the proxy looks for its thread's at every use
    return [field.get_db_prep_save(getattr(row, field.attname), connection=real) for row in rows]


def _quoted(field: Any) -> str:
    return _quote(field.column)


def _quote(name: str) -> str:
    return connection.ops.quote_name(name)
