"""Which snapshots may go: the rule for backups themselves (SPEC E7), free of Django."""

from collections.abc import Iterable
from dataclasses import dataclass

from retention.errors import PolicyError


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A whole-dataset backup in its chain; `intact` = verified, and its files are in place."""

    backup_id: str
    sequence: int
    intact: bool


@dataclass(frozen=True, kw_only=True)
class KeepingPolicy:
    """How many intact snapshots stay. Archives that hold deleted files are never its business.

    Raises PolicyError.
    """

    last: int = 24

    def __post_init__(self) -> None:
        if not isinstance(self.last, int) or isinstance(self.last, bool) or self.last < 1:
            raise PolicyError(f"keep last {self.last!r} is refused: keep at least 1 snapshot")

    def removable(self, snapshots: Iterable[Snapshot]) -> list[Snapshot]:
        """Return the snapshots older than the `last` newest intact ones, oldest first.

        With fewer intact ones than that, none.
        """
        oldest_first = sorted(snapshots, key=lambda snapshot: snapshot.sequence)
        intact = [snapshot for snapshot in oldest_first if snapshot.intact]
        if len(intact) <= self.last:
            return []
        threshold = intact[-self.last].sequence
        return [snapshot for snapshot in oldest_first if snapshot.sequence < threshold]
