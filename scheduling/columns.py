"""Finds which columns of a row hold what cannot be read: a row that somebody corrupted by hand."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Field, Model

from scheduling.outage import is_outage

Column = Field[Any, Any]


def unreadable_columns(model: type[Model], pk: object) -> list[str]:
    """Return the names of those columns; found by halves, as it is asked for rarely."""
    columns = model._meta.concrete_fields  # noqa: SLF001 Django's documented name
    return [column.name for column in _unreadable(model, pk, columns)]


def _unreadable(model: type[Model], pk: object, columns: Sequence[Column]) -> Sequence[Column]:
    if _can_read(model, pk, columns):
        return []
    if len(columns) == 1:
        return columns
    half = len(columns) // 2
    parts = columns[:half], columns[half:]
    return [column for part in parts for column in _unreadable(model, pk, part)]


def _can_read(model: type[Model], pk: object, columns: Sequence[Column]) -> bool:
    names = [column.attname for column in columns]
    try:
        with transaction.atomic():
            for row in model._default_manager.filter(pk=pk).values_list(*names):  # noqa: SLF001
                for column, value in zip(columns, row, strict=True):
                    column.get_prep_value(value)  # SQLite gives back a text for a number
    except Exception as error:
        if is_outage(error):
            raise
        return False
    return True
