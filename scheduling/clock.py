"""The one clock that plans are made by: the database's, so that several beats agree."""

from datetime import UTC, datetime

from django.db import connection


def database_now() -> datetime:
    """Return the present instant, aware UTC; for SQLite, which has no server, the host's."""
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return now.astimezone(UTC)  # type: ignore[no-any-return] # the driver is untyped here
