"""What operators were told holds, and no stretch of a schedule is gone that nobody disabled."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from itertools import zip_longest

from opsproject.chaos.checker.violation import Violation
from opsproject.chaos.history import Change, Epoch, History
from scheduling.states import RunState, Trigger

# A beat may see a change while it is being written; and what it sees in a turn it dates by the
# clock as it was when that turn began.
ON_ITS_WAY = timedelta(seconds=2)


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


def wrong_startup_runs(history: History) -> Iterator[Violation]:
    """Find jobs that ran at the start of the deployment more than once, or not at all.

    One that is paused is left alone until it is resumed, which may not have come.
    """
    times = Counter(run.job for run in history.runs if run.trigger == Trigger.STARTUP)
    paused = {pause.job for pause in history.pauses if pause.until is None}
    for job in history.at_startup:
        if times[job] > 1:
            yield Violation("doubled", f"{job}: {times[job]} start-up runs of one deployment")
        elif not times[job] and job not in paused:
            yield Violation("missing", f"{job}: no start-up run of the deployment")


def undone_cancellations(history: History) -> Iterator[Violation]:
    """Find runs that went on although an operator was told that they are cancelled."""
    states = {run.id: run.state for run in history.runs}
    for run in history.cancelled:
        if states.get(run) != RunState.CANCELLED:
            text = f"run {run} was cancelled, as an operator was told, and is {states.get(run)}"
            yield Violation("outcome", f"{history.job_of(run)}: {text}")


def unexplained_ends(history: History) -> Iterator[Violation]:
    """Find epochs that ended before anybody asked for it, and gaps that nobody asked for.

    A tick between such an end and the change was due, and is in no account.
    """
    changes: defaultdict[str, list[Change]] = defaultdict(list)
    for change in history.changes:
        changes[change.job].append(change)
    for job, epochs in _by_job(history).items():
        for epoch, following in zip_longest(epochs, epochs[1:]):
            yield from _of_end(epoch, following, changes[job])


def _by_job(history: History) -> dict[str, list[Epoch]]:
    found: defaultdict[str, list[Epoch]] = defaultdict(list)
    for epoch in sorted(history.epochs, key=lambda epoch: (epoch.from_at, epoch.id)):
        found[epoch.job].append(epoch)
    return found


def _of_end(epoch: Epoch, following: Epoch | None, changes: list[Change]) -> Iterator[Violation]:
    if epoch.to_at is None:
        return
    begin, end = epoch.from_at - ON_ITS_WAY, epoch.to_at + ON_ITS_WAY
    asked = [change for change in changes if begin <= change.at <= end]
    name = f"{epoch.job}: epoch {epoch.id} ended at {epoch.to_at.isoformat()}"
    if not asked:
        later = min((one.at for one in changes if one.at > epoch.to_at), default=None)
        next_asked = f"the next was asked for at {later.isoformat()}" if later else "none followed"
        yield Violation("missing", f"{name} before anybody asked for a change; {next_asked}")
    elif following and following.from_at > epoch.to_at and not any(one.disables for one in asked):
        text = f"the next began at {following.from_at.isoformat()}, and nobody had disabled the job"
        yield Violation("missing", f"{name}, {text}")
