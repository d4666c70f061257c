"""Writes many rows in one statement, each with values of its own.

Django's `bulk_update` writes a CASE with a branch per row and field, and its `bulk_create` a
placeholder per row and field: building and parsing that costs many times what the writing does.
Here PostgreSQL gets an array a column, and SQLite, which is in our process, a statement that it
prepares once. A value that all rows share is converted and sent once.
"""

from collections.abc import Iterable, Sequence
from itertools import islice, repeat
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import JSONField, Model


def update_rows(rows: Sequence[Model], fields: Iterable[str]) -> int:
    """Write the given fields of rows of one model, by primary key; return how many rows there were.

    Part of the caller's transaction, and no larger than that should be: lock the rows before, in
    the order of their ids. Nothing but the fields is touched, no signal is sent.
    """
    if not rows:
        return 0
    meta = type(rows[0])._meta  # noqa: SLF001 Django's documented name for it
    columns = [_Column(meta.get_field(name), rows) for name in fields]
    key = _Column(meta.pk, rows, may_be_shared=False)
    settings = ", ".join(f"{column.name} = {column.source}" for column in columns)
    update = f"UPDATE {_quote(meta.db_table)} AS old SET {settings}"  # noqa: S608 quoted names
    if connection.vendor == "postgresql":
        statement = f"{update} FROM {_arrays(columns, key)} WHERE old.{key.name} = fresh.{key.name}"
        return _execute(statement, columns, key)
    return _execute_each(f"{update} WHERE {key.name} = %s", [*columns, key], len(rows))


def insert_rows(rows: Sequence[Model]) -> None:
    """Insert rows of one model, every field but a key that the database draws.

    Part of the caller's transaction. The objects do not learn their key, no signal is sent, and
    `auto_now` is not looked at.
    """
    if not rows:
        return
    meta = type(rows[0])._meta  # noqa: SLF001
    fields = [field for field in meta.concrete_fields if not _is_drawn(field, rows[0])]
    first = _Column(fields[0], rows, may_be_shared=False)
    columns = [_Column(field, rows) for field in fields[1:]]
    names = ", ".join(column.name for column in (*columns, first))
    sources = ", ".join(column.source for column in (*columns, first))
    insert = f"INSERT INTO {_quote(meta.db_table)} ({names})"
    if connection.vendor == "postgresql":
        source = f"SELECT {sources} FROM {_arrays(columns, first)}"  # noqa: S608 quoted names
        _execute(f"{insert} {source}", columns, first)
    else:
        _execute_each(f"{insert} VALUES ({sources})", [*columns, first], len(rows))
    for row in rows:
        row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS  # noqa: SLF001 as after save()


def _is_drawn(field: Any, row: Model) -> bool:
    """The database draws the key of a row that has none."""
    return field.primary_key and getattr(row, field.attname) is None


class _Column:
    """The values of one field, as the database takes them; one value, where all rows share it."""

    def __init__(self, field: Any, rows: Sequence[Model], *, may_be_shared: bool = True) -> None:
        values = [getattr(row, field.attname) for row in rows]
        real = connections[DEFAULT_DB_ALIAS]  # the proxy looks for its thread's at every use
        self.name = _quote(field.column)
        self.type = _cast_to(field.db_type(real))
        self.shared = may_be_shared and _are_equal(values, is_json=isinstance(field, JSONField))
        self.value: Any = (
            field.get_db_prep_save(values[0], connection=real)
            if self.shared
            else [field.get_db_prep_save(value, connection=real) for value in values]
        )

    @property
    def source(self) -> str:
        """Where a statement finds the value for a row."""
        if connection.vendor != "postgresql":
            return "%s"
        return f"%s::{self.type}" if self.shared else f"fresh.{self.name}"


def _cast_to(column_type: str) -> str:
    """Return what values are sent as: a cast to `varchar(n)` would cut what the column refuses."""
    return "text" if column_type.startswith("varchar") else column_type


def _are_equal(values: Sequence[Any], *, is_json: bool) -> bool:
    """Say whether all values are stored the same; as JSON, what Python calls equal may not be."""
    first = values[0]
    if not is_json:
        return all(value == first for value in values)
    empty = type(first) if first in ({}, []) else None
    return all(value is first or (type(value) is empty and not value) for value in values)


def _arrays(columns: Sequence[_Column], key: _Column) -> str:
    own = [*(column for column in columns if not column.shared), key]
    places = ", ".join(f"%s::{column.type}[]" for column in own)
    return f"unnest({places}) AS fresh({', '.join(column.name for column in own)})"


def _execute(statement: str, columns: Sequence[_Column], key: _Column) -> int:
    """PostgreSQL: send the values as parameters; Django's cursor would write them into the text."""
    shared = [column.value for column in columns if column.shared]
    arrays = [column.value for column in columns if not column.shared]
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, [*shared, *arrays, key.value])
        return cursor.rowcount


def _execute_each(statement: str, columns: Sequence[_Column], rows: int) -> int:
    """SQLite: step a prepared statement through the rows."""
    values = zip(*(repeat(c.value) if c.shared else c.value for c in columns), strict=False)
    with connection.cursor() as cursor:
        cursor.executemany(statement, list(islice(values, rows)))
        return int(cursor.rowcount)


def _quote(name: str) -> str:
    return connection.ops.quote_name(name)
