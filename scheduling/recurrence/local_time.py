"""Where wall clocks lie in UTC: a zone as pieces within which local time is plain arithmetic.

SPEC A5 becomes the offsets of a piece. Of a job with fixed times: one on ordinary days; behind a
gap, for its length, both the old one (the walls of the gap, moved by its length) and the new one;
for the second pass of an overlap none. Of a wildcard job: always the one on the clock.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scheduling.recurrence.contract import EPOCH, RecurrenceError, instant_of, second_of

DAY = 86_400
# The calendar's own first and last year have no room for offsets.
EARLIEST = second_of(datetime(2, 1, 1, tzinfo=UTC))
LATEST = second_of(datetime(9999, 1, 1, tzinfo=UTC)) - 1


class Piece(NamedTuple):
    """UTC seconds `start` to `end`, both included, and the offsets (UTC to wall) that apply."""

    start: int
    end: int
    offsets: tuple[int, ...]


def pieces(zone: str, start: int, end: int, *, wildcard: bool) -> Iterator[Piece]:
    """Yield the pieces from `start` to `end` (UTC seconds, both included) in order."""
    for year in _years(start, end):
        for piece in _between(_year(zone, year, wildcard), start, end):
            yield Piece(max(piece.start, start), min(piece.end, end), piece.offsets)


def pieces_backwards(zone: str, start: int, end: int, *, wildcard: bool) -> Iterator[Piece]:
    """Yield the same pieces, newest first."""
    for year in reversed(_years(start, end)):
        for piece in reversed(_between(_year(zone, year, wildcard), start, end)):
            yield Piece(max(piece.start, start), min(piece.end, end), piece.offsets)


def known_zone(name: str) -> str:
    """Return `name` if it is an IANA zone; raise RecurrenceError otherwise."""
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, TypeError, AttributeError, OSError) as error:
        raise RecurrenceError(
            "unknown_zone", f"zone={name!r}: use an IANA time zone such as Asia/Seoul"
        ) from error


def _years(start: int, end: int) -> range:
    start, end = max(start, EARLIEST), min(end, LATEST)
    return range(instant_of(start).year, instant_of(end).year + 1) if start <= end else range(0)


def _between(year: tuple[Piece, ...], start: int, end: int) -> tuple[Piece, ...]:
    return year[
        max(0, bisect_right(year, start, key=_start) - 1) : bisect_right(year, end, key=_start)
    ]


def _start(piece: Piece) -> int:
    return piece.start


@lru_cache(maxsize=4096)
def _year(zone: str, year: int, wildcard: bool) -> tuple[Piece, ...]:  # noqa: FBT001 a cache key
    """Return the pieces of one UTC year, its first and last second included."""
    start, end = (second_of(datetime(y, 1, 1, tzinfo=UTC)) for y in (year, year + 1))
    changes = _changes(ZoneInfo(zone), start - 2 * DAY, end)  # a gap may reach into the new year
    marks: dict[int, tuple[int, ...]] = {}
    for at, before, behind in changes:
        marks[at] = (behind,)
        if not wildcard and at != start - 2 * DAY:
            marks[at] = (before, behind) if behind > before else ()
            marks[at + abs(behind - before)] = (behind,)
    ends = [*list(marks)[1:], end]
    whole = [
        Piece(at, stop - 1, offsets)
        for (at, offsets), stop in zip(marks.items(), ends, strict=True)
    ]
    return tuple(
        Piece(max(piece.start, start), min(piece.end, end - 1), piece.offsets)
        for piece in whole
        if piece.end >= start and piece.start < end
    )


def _changes(zone: ZoneInfo, start: int, end: int) -> list[tuple[int, int, int]]:
    """Return (second, offset before, offset behind): the state at `start`, then each transition.

    zoneinfo keeps its table to itself, so days are probed and halved; the nearest two transitions
    of the database (1973 to 2100) are a week apart.
    """
    offset = _offset(zone, start)
    found = [(start, offset, offset)]
    for day in range(start + DAY, end + DAY, DAY):
        if (behind := _offset(zone, day)) != offset:
            at = _first_second(zone, day - DAY, day, behind)
            if at < end:
                found.append((at, offset, behind))
            offset = behind
    return found


def _first_second(zone: ZoneInfo, low: int, high: int, offset: int) -> int:
    """Return the first second after `low` at which the offset is `offset`, as it is at `high`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _offset(zone, middle) == offset else (middle, high)
    return high


def _offset(zone: ZoneInfo, second: int) -> int:
    offset = (EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    return offset // timedelta(seconds=1) if offset is not None else 0
