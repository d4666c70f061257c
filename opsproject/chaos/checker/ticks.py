"""Every planned tick has exactly one verdict, and nothing has one that was never planned.

The ticks are listed one by one from the epochs alone, and each verdict is laid on them.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import pairwise

from opsproject.chaos.checker.violation import Violation
from opsproject.chaos.history import Epoch, History, LedgerRun, Skip
from scheduling.recurrence import Chain


def tick_violations(history: History) -> Iterator[Violation]:
    """Find ticks without a verdict, with two, and verdicts without a tick."""
    runs, skips = _by_epoch(history)
    known = {epoch.id for epoch in history.epochs}
    for epoch in history.epochs:
        yield from _in_epoch(epoch, runs[epoch.id], skips[epoch.id])
    for run in history.runs:
        if run.tick is not None and run.epoch not in known:
            yield Violation("invented", f"{run.job}: run {run.id} of a tick is of no epoch")
    for skip in history.skips:
        if skip.epoch not in known:
            yield Violation("invented", f"skipped ticks {skip.id} are of no epoch")
    yield from _overlapping_epochs(history)


def planned_ticks(epoch: Epoch, runs: Iterable[LedgerRun]) -> list[datetime]:
    """Return every tick of a closed epoch; an open one has no end to count to.

    Those of a chain cannot be foretold: they are its runs, which `chains` holds against each other.
    """
    if epoch.to_at is None:
        return []
    end = min(epoch.to_at, epoch.ends_at) if epoch.ends_at else epoch.to_at
    if not isinstance(epoch.recurrence, Chain):
        return list(epoch.recurrence.between(epoch.from_at, end))
    links = (run.tick for run in runs if run.epoch == epoch.id and run.tick is not None)
    return sorted({tick for tick in links if epoch.from_at < tick <= end})


def _by_epoch(
    history: History,
) -> tuple[defaultdict[int, list[LedgerRun]], defaultdict[int, list[Skip]]]:
    runs: defaultdict[int, list[LedgerRun]] = defaultdict(list)
    skips: defaultdict[int, list[Skip]] = defaultdict(list)
    for run in history.runs:
        if run.tick is not None and run.epoch is not None:
            runs[run.epoch].append(run)
    for skip in history.skips:
        skips[skip.epoch].append(skip)
    return runs, skips


def _in_epoch(epoch: Epoch, runs: list[LedgerRun], skips: list[Skip]) -> Iterator[Violation]:
    if epoch.to_at is None:
        yield Violation("unsettled", f"{epoch.job}: epoch {epoch.id} is still open")
        return
    ticks = planned_ticks(epoch, runs)
    verdicts: Counter[datetime] = Counter(run.tick for run in runs if run.tick is not None)
    for run in runs:
        if run.tick not in ticks:
            yield Violation("invented", f"{epoch.job}: run {run.id} of {_said(run.tick)}")
    for skip in skips:
        covered = ticks[bisect_right(ticks, skip.after) : bisect_right(ticks, skip.until)]
        verdicts.update(covered)
        if len(covered) != skip.count:
            text = f"skipped ticks {skip.id} count {skip.count}, planned were {len(covered)}"
            yield Violation("invented", f"{epoch.job}: {text}")
    for tick in ticks:
        if verdicts[tick] == 0:
            yield Violation("missing", f"{epoch.job}: {_said(tick)} of epoch {epoch.id}")
        elif verdicts[tick] > 1:
            yield Violation("doubled", f"{epoch.job}: {_said(tick)} × {verdicts[tick]}")


def _overlapping_epochs(history: History) -> Iterator[Violation]:
    by_job: defaultdict[str, list[Epoch]] = defaultdict(list)
    for epoch in sorted(history.epochs, key=lambda epoch: (epoch.from_at, epoch.id)):
        by_job[epoch.job].append(epoch)
    for job, epochs in by_job.items():
        for one, other in pairwise(epochs):
            if one.to_at is None or other.from_at < one.to_at:
                text = f"{job}: epochs {one.id} and {other.id} overlap"
                yield Violation("doubled", text)


def _said(tick: datetime | None) -> str:
    return f"tick {tick.isoformat()}" if tick else "no tick"
