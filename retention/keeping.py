"""Which backups may go, and why each other stays: the rules of SPEC E7, free of Django."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

from retention.errors import PolicyError
from retention.policies import MOST_DAYS

MOST_KEPT = 100_000
ONLY_COPY = "only copy of what was deleted"
A_DAY_MORE = "only copy of what was deleted, and due for less than a day"
GRACE = timedelta(days=1)  # a clock that jumped is seen meanwhile
DAMAGED = "not intact, and no intact one is in its place"


@dataclass(frozen=True, kw_only=True)
class StoredBackup:
    """What the rules look at. `intact`: verified, and its files are in place.

    `only_copy`: it holds deleted files, and is no copy of a dataset; `due_since` is when a look
    first found its days passed. `held`: who forbids to remove it, and why; '' if nobody does.
    """

    backup_id: str
    sequence: int
    created_at: datetime
    intact: bool
    only_copy: bool = False
    due_since: datetime | None = None
    held: str = ""


@dataclass(frozen=True)
class Judgement:
    """A backup and the reasons for which it stays; with none it goes."""

    backup: StoredBackup
    reasons: tuple[str, ...]

    @property
    def goes(self) -> bool:
        """Whether nothing keeps it."""
        return not self.reasons


@dataclass(frozen=True, kw_only=True)
class KeepingPolicy:
    """How many intact copies of a dataset stay: of the newest, and of each span's newest.

    A span counts if it has a copy, as restic counts them; days are those of UTC. The newest
    `minimum` stay whatever the other rules and the clock say. What holds deleted files goes by
    `deleted_copies_days` alone, and a day after it was first found due; None is never. Raises
    PolicyError.
    """

    last: int = 24
    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    yearly: int = 0
    within_days: int = 0
    minimum: int = 1
    deleted_copies_days: int | None = None

    def __post_init__(self) -> None:
        for one in fields(self):
            self._check(one.name, getattr(self, one.name))

    def _check(self, name: str, value: object) -> None:
        if name == "deleted_copies_days" and value is None:
            return
        least = 1 if name in {"minimum", "deleted_copies_days"} else 0
        most = MOST_DAYS if name.endswith("_days") else MOST_KEPT
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise PolicyError(f"{name} is {value!r}: give a whole number from {least} to {most}")

    def judge(self, backups: Iterable[StoredBackup], *, now: datetime) -> list[Judgement]:
        """Return a judgement of each backup of one dataset, newest first in the chain."""
        newest_first = sorted(backups, key=lambda backup: backup.sequence, reverse=True)
        copies = [backup for backup in newest_first if not backup.only_copy]
        reasons = self._reasons([copy for copy in copies if copy.intact], now)
        for backup in newest_first:
            reasons.setdefault(backup.backup_id, [])
            if backup.only_copy and not self.is_long_ago(backup, now):
                reasons[backup.backup_id].append(ONLY_COPY)
            elif backup.only_copy and not _is_due_for_a_day(backup, now):
                reasons[backup.backup_id].append(A_DAY_MORE)
            if backup.held:
                reasons[backup.backup_id].append(f"held by {backup.held}")
        for backup in copies:
            if not backup.intact and self._has_a_place(backup, copies):
                reasons[backup.backup_id].append(DAMAGED)
        return [Judgement(backup, tuple(reasons[backup.backup_id])) for backup in newest_first]

    def _reasons(self, intact: Sequence[StoredBackup], now: datetime) -> dict[str, list[str]]:
        """Return what keeps each of the intact copies, which are given newest first."""
        reasons: dict[str, list[str]] = {copy.backup_id: [] for copy in intact}
        for count, word, span_of in self._rules():
            spans: set[object] = set()
            for copy in intact:
                span = span_of(copy)
                if span not in spans and len(spans) < count:
                    spans.add(span)
                    reasons[copy.backup_id].append(word)
        for copy in intact:
            if self.within_days and now - copy.created_at <= timedelta(days=self.within_days):
                reasons[copy.backup_id].append(f"within {self.within_days} days")
        return reasons

    def _rules(self) -> list[tuple[int, str, Callable[[StoredBackup], object]]]:
        """Return each rule: how many spans, what it is called, and the span of a copy."""
        return [
            (self.minimum, "minimum", lambda copy: copy.sequence),
            (self.last, "last", lambda copy: copy.sequence),
            (self.daily, "daily", lambda copy: _day(copy).date()),
            (self.weekly, "weekly", lambda copy: _day(copy).isocalendar()[:2]),
            (self.monthly, "monthly", lambda copy: (_day(copy).year, _day(copy).month)),
            (self.yearly, "yearly", lambda copy: _day(copy).year),
        ]

    def is_long_ago(self, backup: StoredBackup, now: datetime) -> bool:
        """Whether the days of an only copy have passed, as the clock says now."""
        days = self.deleted_copies_days
        return days is not None and now - backup.created_at > timedelta(days=days)

    def _has_a_place(self, damaged: StoredBackup, copies: Sequence[StoredBackup]) -> bool:
        """Whether a rule would keep it, were it intact, and has no intact one in its place.

        It may be all there is of its time; and what cannot be read today may be tomorrow.
        """
        intact = [copy for copy in copies if copy.intact]
        newer = [copy for copy in intact if copy.sequence > damaged.sequence]
        for count, _, span_of in self._rules():
            spans = {span_of(copy) for copy in newer}
            if len(spans) < count and span_of(damaged) not in {span_of(copy) for copy in intact}:
                return True
        return False


def _is_due_for_a_day(backup: StoredBackup, now: datetime) -> bool:
    return backup.due_since is not None and now - backup.due_since >= GRACE


def _day(copy: StoredBackup) -> datetime:
    return copy.created_at.astimezone(UTC)
