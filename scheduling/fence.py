"""The fence: which attempt of which run a message stands for (DESIGN rule 4)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from uuid import UUID

HEADER = "ops_run"
RETRIES_HEADER = "ops_retries"
BATCH_TASK = "scheduling.batch"  # the task of a message that stands for several attempts
MOST_RETRIES = 1_000_000


@dataclass(frozen=True)
class Fence:
    """One attempt of one run. A start is granted only while the ledger still names this pair."""

    run_id: UUID
    attempt: int

    @classmethod
    def parse(cls, header: object) -> Self | None:
        """Read the header `<run uuid>:<attempt>`; None if it is anything else."""
        if not isinstance(header, str):
            return None
        run_id, _, attempt = header.partition(":")
        try:
            return cls(UUID(run_id), int(attempt))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.run_id}:{self.attempt}"


def join_fences(fences: Iterable[Fence]) -> str:
    """Write the header of a message that stands for one attempt or for several."""
    return ",".join(map(str, fences))


def parse_fences(header: object) -> list[Fence]:
    """Read such a header; empty if any part of it is no fence."""
    parts = header.split(",") if isinstance(header, str) else []
    fences = [fence for part in parts if (fence := Fence.parse(part)) is not None]
    return fences if len(fences) == len(parts) else []


def parse_retries(header: object) -> int:
    """Read how many attempts failed before; anything but a small count is none."""
    is_count = isinstance(header, int) and not isinstance(header, bool)
    return header if is_count and 0 <= header <= MOST_RETRIES else 0  # type: ignore[operator,return-value] # is_count says so


def parse_uuid(text: object) -> UUID | None:
    """Read the id of an attempt; None if it is anything else."""
    try:
        return UUID(str(text))
    except ValueError:
        return None
