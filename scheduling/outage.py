"""Tells an outage of the database from an error that is about what stands in one of its rows.

An outage is waited out, and whatever was tried is tried again; a row that cannot be dealt with is
set aside, so that it stops nobody else.
"""

from django.db import DataError, Error, InterfaceError, OperationalError

OUTAGE = (OperationalError, InterfaceError)  # the database does not answer: wait and ask again
UNDECODABLE = "Could not decode to UTF-8"  # SQLite says of such a text what it says of an outage
NOT_MIGRATED = frozenset({"42P01", "42703"})  # PostgreSQL: no such table, no such column


def is_outage(error: Exception) -> bool:
    """Say whether an error is the database's, or that of tables that are not migrated yet."""
    if is_about_values(error):
        return False
    return isinstance(error, OUTAGE) or getattr(error.__cause__, "sqlstate", "") in NOT_MIGRATED


def is_about_values(error: Exception) -> bool:
    """Say whether an error comes of the values in a row, and not of what the database refuses.

    A database that is migrated further than its program refuses whatever that writes.
    """
    return not isinstance(error, Error) or isinstance(error, DataError) or UNDECODABLE in str(error)
