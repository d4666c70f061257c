"""Tells lost workers by a counter that stopped and the observer's own monotonic clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

LOST_AFTER_SECONDS = 8.0
LEASE_SECONDS = 30.0  # of foreign workers, that renew it over HTTP
OWN_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class _Sighting:
    beat_no: int
    changed_at: float


class Liveness:
    """What one observer has seen. It trusts nothing it saw before its own loop was held up."""

    def __init__(self, *, loop_seconds: float, lost_after: float = LOST_AFTER_SECONDS) -> None:
        self._lost_after = lost_after
        self._longest_gap = loop_seconds + OWN_PAUSE_SECONDS
        self._seen: dict[UUID, _Sighting] = {}
        self._observed_at: float | None = None

    def observe(self, beats: Mapping[UUID, int], *, monotonic: float) -> set[UUID]:
        """Take the present counters; return those that did not move for too long."""
        if self._observed_at is not None and monotonic - self._observed_at > self._longest_gap:
            self._seen.clear()
        self._observed_at = monotonic
        self._seen = {
            worker_id: self._sighting(worker_id, beat_no, monotonic)
            for worker_id, beat_no in beats.items()
        }
        return {
            worker_id
            for worker_id, seen in self._seen.items()
            if monotonic - seen.changed_at >= self._lost_after
        }

    def _sighting(self, worker_id: UUID, beat_no: int, monotonic: float) -> _Sighting:
        before = self._seen.get(worker_id)
        if before is not None and before.beat_no == beat_no:
            return before
        return _Sighting(beat_no, monotonic)
