"""Updates many rows in one statement, each with values of its own.

Django's `bulk_update` writes a CASE with a branch per row and field: building and parsing that
costs many times what the update itself does.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
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


def _from_arrays(rows: Sequence[Model], name: str, key: Any, columns: list[Any]) -> int:
    """PostgreSQL: an array a column, joined by the key."""
    arrays = [[_value(field, row) for row in rows] for field in (key, *columns)]
    casts = ", ".join(f"%s::{field.db_type(connection)}[]" for field in (key, *columns))
    aliases = ", ".join(_quoted(field) for field in (key, *columns))
    settings = ", ".join(f"{_quoted(field)} = fresh.{_quoted(field)}" for field in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_quote(name)} AS old SET {settings}"  # noqa: S608 quoted names of a model
            f" FROM unnest({casts}) AS fresh({aliases})"
            f" WHERE old.{_quoted(key)} = fresh.{_quoted(key)}",
            arrays,
        )
        return int(cursor.rowcount)


def _one_by_one(rows: Sequence[Model], name: str, key: Any, columns: list[Any]) -> int:
    """SQLite is in our process: a statement that it prepares once and steps through is fastest."""
    settings = ", ".join(f"{_quoted(field)} = %s" for field in columns)
    values = [[_value(field, row) for field in (*columns, key)] for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {_quote(name)} SET {settings}"  # noqa: S608 quoted names of a model
            f" WHERE {_quoted(key)} = %s",
            values,
        )
        return int(cursor.rowcount)


def _value(field: "Field[Any, Any]", row: Model) -> Any:
    return field.get_db_prep_save(getattr(row, field.attname), connection=connection)


def _quoted(field: Any) -> str:
    return _quote(field.column)


def _quote(name: str) -> str:
    return connection.ops.quote_name(name)
