"""One instant, and never again."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from scheduling.recurrence.contract import RecurrenceError


@dataclass(frozen=True, slots=True)
class Clocked:
    """The one tick of django-celery-beat's ClockedSchedule."""

    at: datetime
    kind: ClassVar[str] = "clocked"

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise RecurrenceError("bad_instant", f"at={self.at}: give it a zone, such as +00:00")
        object.__setattr__(self, "at", self.at.astimezone(UTC))

    def next_after(self, after: datetime) -> datetime | None:
        """Return the tick if it is later than `after`."""
        return self.at if after < self.at else None

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """Return the tick if (after, until] holds it."""
        return self.at if after < self.at <= until else None

    def count(self, after: datetime, until: datetime) -> int:
        """Return 1 or 0."""
        return int(after < self.at <= until)

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the tick if (after, until] holds it."""
        if after < self.at <= until:
            yield self.at

    def in_words(self) -> str:
        """Return for example "once, at 2026-01-01 09:00:00"."""
        return f"once, at {self.at:%Y-%m-%d %H:%M:%S}"

    def spec(self) -> dict[str, Any]:
        """Return `at` in ISO 8601."""
        return {"at": self.at.isoformat()}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> Self:
        """Return the instant of a `spec()`; raise RecurrenceError if it is none."""
        try:
            return cls(datetime.fromisoformat(spec["at"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RecurrenceError("bad_spec", f"clocked {spec!r}: give at (ISO 8601)") from error
