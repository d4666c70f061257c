"""The database, asked for an answer before anything is started on it."""

from django.conf import settings
from django.db import Error, connection

from opsproject.launch.errors import DatabaseUnreachableError


def require_database() -> None:
    """Raise DatabaseUnreachableError unless it answers; the password is never shown."""
    try:
        connection.ensure_connection()
    except Error as error:
        raise DatabaseUnreachableError(
            f"{_name()} cannot be opened ({_reason(error)}): {_remedy()}"
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
        return "check DATABASE_URL, OPS_DATA_DIR and the rights on the directory"
    return "start that server, correct the URL, or unset it to use SQLite"
