"""What operators were told holds, and no stretch of a schedule is gone that nobody disabled."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from opsproject.chaos.checker.violation import Violation
from opsproject.chaos.history import Epoch, History

ON_ITS_WAY = timedelta(seconds=2)  # a beat may open an epoch while a disabling is being written


def broken_promises(history: History) -> Iterator[Violation]:
    """Find triggered runs that are gone, and keys that gave two runs."""
    by_key: dict[tuple[str, str], str] = {}
    for promise in history.promises:
        if history.job_of(promise.run) is None:
            text = f"run {promise.run}, which an operator was promised, is not in the ledger"
            yield Violation("lost", f"{promise.job}: {text}")
        first = by_key.setdefault((promise.job, promise.key), str(promise.run))
        if first != str(promise.run):
            text = f"key {promise.key} gave run {first} and run {promise.run}"
            yield Violation("doubled", f"{promise.job}: {text}")


def unexplained_gaps(history: History) -> Iterator[Violation]:
    """Find stretches between two epochs in which nobody had disabled the job."""
    by_job: defaultdict[str, list[Epoch]] = defaultdict(list)
    for epoch in sorted(history.epochs, key=lambda epoch: (epoch.from_at, epoch.id)):
        by_job[epoch.job].append(epoch)
    for job, epochs in by_job.items():
        asked = [at for name, at in history.disabled if name == job]
        for one, other in pairwise(epochs):
            if one.to_at is not None and other.from_at > one.to_at and not _asked(one, asked):
                text = f"no epoch from {one.to_at.isoformat()} to {other.from_at.isoformat()}"
                yield Violation("missing", f"{job}: {text}, and nobody had disabled it")


def _asked(epoch: Epoch, asked: list[datetime]) -> bool:
    """Tell whether the epoch's end can be what somebody asked for."""
    begin = epoch.from_at - ON_ITS_WAY
    return epoch.to_at is not None and any(begin <= at <= epoch.to_at for at in asked)
