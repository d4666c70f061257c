"""Chains, the jobs in queue mode: one link at a time, and none that nothing follows."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from opsproject.chaos.checker.violation import Violation
from opsproject.chaos.history import Epoch, History, LedgerRun
from scheduling.recurrence import Chain

MENDED_WITHIN = timedelta(seconds=30)  # a beat that restarts has so long to plan what is missing


def chain_violations(history: History) -> Iterator[Violation]:
    """Find links that were planned before the one before them had ended, and chains that broke."""
    for epoch in history.epochs:
        if isinstance(epoch.recurrence, Chain) and epoch.to_at is not None:
            links = [run for run in history.runs if run.epoch == epoch.id and run.created_at]
            links.sort(key=lambda run: (run.created_at, run.id))
            yield from _doubled(epoch, links)
            yield from _broken(history, epoch, epoch.to_at, links)


def _doubled(epoch: Epoch, links: list[LedgerRun]) -> Iterator[Violation]:
    for one, other in pairwise(links):
        # What an operator had tried again ended once more, long after its first end was followed.
        ended, due = one.finished_at, other.not_before
        if one.reopened or ended is None or due is None or ended <= due:
            continue
        text = f"run {other.id} due {due.isoformat()}, run {one.id} ended {ended.isoformat()}"
        yield Violation("doubled", f"{epoch.job}: two links at a time, {text}")


def _broken(
    history: History, epoch: Epoch, closed_at: datetime, links: list[LedgerRun]
) -> Iterator[Violation]:
    ends = [epoch.from_at, *(link.finished_at for link in links if not link.reopened)]
    begins = [link.created_at for link in links]
    for end in (_free_at(history, epoch.job, end) for end in ends if end):
        following = min((begin for begin in begins if begin and begin >= end), default=closed_at)
        if following - end > MENDED_WITHIN and not _hindered(history, epoch.job, end, following):
            text = f"nothing followed from {end.isoformat()} to {following.isoformat()}"
            yield Violation("missing", f"{epoch.job}: {text}")


def _free_at(history: History, job: str, at: datetime) -> datetime:
    """Return when no link of an earlier schedule was in progress any more, `at` or later."""
    in_progress = (
        run.finished_at
        for run in history.runs
        if run.job == job and run.not_before and run.created_at and run.created_at <= at
    )
    return max([at, *filter(None, in_progress)])


def _hindered(history: History, job: str, since: datetime, until: datetime) -> bool:
    """Tell whether the job was paused, or had an older link tried again, in that time."""
    paused = any(
        pause.since < until and (pause.until is None or pause.until > since)
        for pause in history.pauses
        if pause.job == job
    )
    return paused or any(
        run.reopened and run.finished_at is not None and run.finished_at > since
        for run in history.runs
        if run.job == job
    )
