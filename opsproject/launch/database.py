"""The database: what it refuses is told in one line, without the password."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import Error, connection

from opsproject.launch.errors import DatabaseUnusableError


def require_database() -> None:
    """Raise DatabaseUnusableError unless it answers, to every process alike."""
    name = str(settings.DATABASES["default"]["NAME"])
    if connection.vendor == "sqlite" and (name == ":memory:" or "mode=memory" in name):
        raise DatabaseUnusableError(
            "DATABASE_URL names a database in memory, which the processes cannot share: "
            "name a file, or unset it to use one in OPS_DATA_DIR"
        )
    with refusals_in_words():
        connection.ensure_connection()


@contextmanager
def refusals_in_words() -> Iterator[None]:
    """Turn what the driver raises within the block into DatabaseUnusableError."""
    try:
        yield
    except Error as error:
        raise DatabaseUnusableError(
            f"{_name()} cannot be used ({_reason(error)}): {_remedy()}"
        ) from None


def _name() -> str:
    """Name the database as the operator did."""
    given = settings.DATABASES["default"]
    if connection.vendor == "sqlite":
        return f"the SQLite file {given['NAME']}"
    place = ":".join(str(part) for part in (given["HOST"], given["PORT"]) if part)
    return f"DATABASE_URL ({connection.vendor} at {place or 'its default place'}, {given['NAME']})"


def _reason(error: Error) -> str:
    """Return the driver's own words as one line; they hold host and user, never the password."""
    return "; ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _remedy() -> str:
    if connection.vendor == "sqlite":
        return "check DATABASE_URL, OPS_DATA_DIR, the room on the disk and the rights on the file"
    return "start that server, correct the URL or that user's rights, or unset it to use SQLite"
