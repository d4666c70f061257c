"""What every kind of schedule can say about its ticks."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Protocol

from scheduling.errors import SchedulingError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class RecurrenceError(SchedulingError):
    """A schedule that cannot be; `code` is stable, the text names the field and the remedy."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Recurrence(Protocol):
    """A frozen, hashable value. Instants are aware UTC; a window is half open: (after, until]."""

    kind: ClassVar[str]

    def next_after(self, after: datetime) -> datetime | None:
        """Return the first tick later than `after`, None when there is never another one."""

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """Return the newest tick of the window, None when it holds none."""

    def count(self, after: datetime, until: datetime) -> int:
        """Return how many ticks the window holds; never enumerates minutes."""

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the ticks of the window, oldest first."""

    def in_words(self) -> str:
        """Return the schedule as an English phrase, with its zone unless that is UTC."""

    def spec(self) -> dict[str, Any]:
        """Return what `from_spec` needs to make an equal value, as JSON."""


def second_of(instant: datetime) -> int:
    """Return the last whole second since 1970 that is not later than `instant`."""
    return (instant - EPOCH) // SECOND


def instant_of(second: int) -> datetime:
    """Return the aware UTC instant of a second since 1970."""
    return EPOCH + timedelta(seconds=second)
