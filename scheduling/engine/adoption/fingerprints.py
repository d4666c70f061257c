"""Notices changes of a table that nobody tells of: remembers a hash of every row, 8 bytes each.

Rows are read as the database holds them, without Django's conversions: that is most of their cost,
and a row that Django cannot read is fingerprinted like any other.
"""

import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from django.db import connection
from django.db.models import Model

BITS = 6
BUCKET = 1 << BITS
# The last bucket of a page may be cut and is read again: with three, every page gets on.
FEWEST_ROWS, MOST_ROWS = 3 * BUCKET, 2_000
PAGE_SECONDS = 0.005
EMPTY = array("q", bytes(8 * BUCKET))

Row = tuple[Any, ...]


class Fingerprints:
    """Remembers one table; `look` reads the next page of it and says which rows are not the same.

    Hashes stand in buckets of 64 neighbouring primary keys, 0 where there is no row.
    """

    def __init__(self, model: type[Model], fields: Iterable[str]) -> None:
        meta: Any = model._meta  # noqa: SLF001 Django's documented name for it
        quote = connection.ops.quote_name
        key = quote(meta.pk.column)
        # SQLite's driver converts what has a declared type; with the plus it has none.
        bare = "+" if connection.vendor == "sqlite" else ""
        columns = ", ".join(
            [key, *(f"{bare}{quote(meta.get_field(name).column)}" for name in fields)]
        )
        self._query = (
            f"SELECT {columns} FROM {quote(meta.db_table)}"  # noqa: S608 quoted names of a model
            f" WHERE {key} >= %s ORDER BY {key} LIMIT %s"
        )
        self._page_rows = FEWEST_ROWS
        self._next = 0
        self._known: dict[int, array[int]] = {}
        self._fresh: dict[int, array[int]] = {}
        self.learned = False  # whether the whole table was looked at once

    def look(self) -> tuple[list[int], bool]:
        """Read a page; return the keys that are new, changed or gone, and if the round is over."""
        started = time.perf_counter()
        rows = self._page()
        over = len(rows) < self._page_rows
        end = None if over else rows[-1][0] >> BITS
        changed = [pk for bucket, group in _buckets(rows, end) for pk in self._learn(bucket, group)]
        self._fit(len(rows), time.perf_counter() - started)
        if end is not None:
            self._next = end << BITS
            return changed, False
        return changed + self._end_round(), True

    def _page(self) -> list[Row]:
        with connection.cursor() as cursor, _as_stored():
            cursor.execute(self._query, [self._next, self._page_rows])
            return list(cursor.fetchall())

    def _learn(self, bucket: int, rows: Iterable[Row]) -> list[int]:
        before = self._known.get(bucket, EMPTY)
        now = EMPTY[:]
        for row in rows:
            now[row[0] & BUCKET - 1] = hash(row)
        # What is the same is kept once.
        self._fresh[bucket] = before if now == before else now
        return [] if now == before else _differing(bucket, before, now)

    def _fit(self, rows: int, seconds: float) -> None:
        """Make the next page as long as one may take, by what this one took."""
        if rows and seconds:
            fitting = min(int(rows * PAGE_SECONDS / seconds), 2 * self._page_rows)
            self._page_rows = min(MOST_ROWS, max(FEWEST_ROWS, fitting))

    def _end_round(self) -> list[int]:
        """Return the keys of the buckets that are gone with all their rows, and begin anew."""
        gone = sorted(self._known.keys() - self._fresh.keys())
        keys = [pk for bucket in gone for pk in _differing(bucket, self._known[bucket], EMPTY)]
        self._known, self._fresh, self._next, self.learned = self._fresh, {}, 0, True
        return keys


def _buckets(rows: Iterable[Row], end: int | None) -> Iterator[tuple[int, Iterable[Row]]]:
    """Yield each bucket with its rows; the one at the end of a page may not be whole yet."""
    for bucket, group in groupby(rows, key=lambda row: row[0] >> BITS):
        if bucket != end:
            yield bucket, group


def _differing(bucket: int, before: "array[int]", now: "array[int]") -> list[int]:
    return [(bucket << BITS) + n for n in range(BUCKET) if before[n] != now[n]]


@contextmanager
def _as_stored() -> Iterator[None]:
    """Let SQLite give texts as bytes: one that is no UTF-8 would fail the page."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.connection.text_factory = bytes
    try:
        yield
    finally:
        connection.connection.text_factory = str
