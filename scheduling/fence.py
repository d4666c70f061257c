"""The fence: which attempt of which run a message stands for (DESIGN rule 4)."""

from dataclasses import dataclass
from typing import Self
from uuid import UUID

HEADER = "ops_run"
RETRIES_HEADER = "ops_retries"
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


def parse_retries(header: object) -> int:
    """Read how many attempts failed before; anything but a small count is none."""
    is_count = isinstance(header, int) and not isinstance(header, bool)
    return header if is_count and 0 <= header <= MOST_RETRIES else 0  # type: ignore[operator,return-value] # is_count says so
