"""The one clock that plans are made by: the database's, so that several beats agree."""

import logging
from datetime import UTC, datetime, timedelta

from django.db import connection

logger = logging.getLogger(__name__)

JUMP = timedelta(seconds=60)


def database_now() -> datetime:
    """Return the present instant, aware UTC; for SQLite, which has no server, the host's."""
    if connection.vendor != "postgresql":
        return datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return now.astimezone(UTC)  # type: ignore[no-any-return] # the driver is untyped here


class PlanClock:
    """Notices when the database's clock moves otherwise than time does (DESIGN rule 10)."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None
        self._doubted = False

    def believes(self, now: datetime, *, monotonic: float) -> bool:
        """Return False once for a reading that jumped; the next one that agrees is believed."""
        jump = self._jump(now, monotonic)
        self._last = (now, monotonic)
        self._doubted = abs(jump) > JUMP and not self._doubted
        if self._doubted:
            logger.warning("clock_jump", extra={"seconds": round(jump.total_seconds())})
        return not self._doubted

    def _jump(self, now: datetime, monotonic: float) -> timedelta:
        if self._last is None:
            return timedelta(0)
        then, monotonic_then = self._last
        return (now - then) - timedelta(seconds=monotonic - monotonic_then)
