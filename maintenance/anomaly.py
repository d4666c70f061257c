"""Holds a new backup against those before it: what is far from its history stops the cleanup.

A disk that is not mounted, a clock that jumped, files that were encrypted by somebody else: all of
them look like work to be done. So nothing is deleted on the strength of such a backup until an
operator has looked and accepted it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from maintenance.errors import BackupError
from maintenance.manifest import Purpose, Strategy
from maintenance.models import Backup
from maintenance.roots import Roots

COMPARED = 7  # of the backups before, their median
ENOUGH = 3  # of them; with fewer there is no history
LEAST_SHARE, MOST_TIMES = 0.5, 3.0  # of a copy of all there is
MOST_TIMES_EXPIRED = 10.0  # of what expires in one run, which varies more
MOST_CHANGED = 0.5  # of the files of a tree
FEW_FILES, FEW_BYTES = 100, 10 << 20  # differences that are no matter


@dataclass(frozen=True)
class _Figure:
    name: str
    now: float
    before: Sequence[float]
    few: float

    def oddity(self, *, least: float, most: float) -> str:
        """Return in words that it is far from what it was, or ''."""
        usual = median(self.before)
        if abs(self.now - usual) <= self.few or usual * least <= self.now <= usual * most:
            return ""
        return f"{self.now:,.0f} {self.name} where the last {len(self.before)} had {usual:,.0f}"


def anomaly_of(backup: Backup) -> str:
    """Return what is odd about a new backup, in words for an operator; '' if nothing is."""
    before = _history(backup)
    if len(before) < ENOUGH:
        return ""
    files = [row.file_count for row in before]
    sizes = [row.total_bytes for row in before]
    is_copy = backup.purpose == Purpose.SNAPSHOT or backup.strategy == Strategy.FILE
    least, most = (LEAST_SHARE, MOST_TIMES) if is_copy else (0.0, MOST_TIMES_EXPIRED)
    oddities = [
        _Figure("files", backup.file_count, files, FEW_FILES).oddity(least=least, most=most),
        _Figure("bytes", backup.total_bytes, sizes, FEW_BYTES).oddity(least=least, most=most),
        _changed_too_much(backup),
    ]
    return "; ".join(filter(None, oddities))


def require_none_waits(roots: Roots) -> None:
    """Raise BackupError while a suspect one of this dataset waits to be accepted."""
    waiting = Backup.objects.below(roots.backup).of(roots.dataset).present().exclude(anomaly="")
    odd = waiting.newest_first().first()
    if odd is not None:
        raise BackupError(odd.suspicion)


def _history(backup: Backup) -> list[Backup]:
    """Return the accepted ones of its kind before it: what was removed since counts as well."""
    rows = Backup.objects.filter(
        source_root=backup.source_root,
        strategy=backup.strategy,
        is_partial=backup.is_partial,
        anomaly="",
    ).exclude(pk=backup.pk)
    if backup.strategy == Strategy.ARCHIVE:
        rows = rows.filter(purpose=backup.purpose)
    return list(rows.exclude(state=Backup.State.FAILED).newest_first()[:COMPARED])


def _changed_too_much(backup: Backup) -> str:
    changed = backup.changed_count or 0
    if changed <= FEW_FILES or changed <= backup.file_count * MOST_CHANGED:
        return ""
    return f"{changed:,} of {backup.file_count:,} files have another content than before"
