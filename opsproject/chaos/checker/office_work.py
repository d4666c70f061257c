"""Work of offices keeps its order, falls with what it waited for, and is there as promised."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from opsproject.chaos.checker.violation import Violation
from opsproject.chaos.history import History, LedgerRun
from scheduling.states import RunState
from scheduling.transitions import DEPENDENCY


def broken_order(history: History) -> Iterator[Violation]:
    """Find runs that started before what they wait for was done, or although it was not."""
    runs = {run.id: run for run in history.runs}
    starts: dict[UUID, datetime] = {}
    for attempt in history.attempts:
        first = starts.get(attempt.run, attempt.started_at)
        starts[attempt.run] = min(first, attempt.started_at)
    for wait in history.waits:
        run, awaited, start = runs[wait.run], runs[wait.awaited], starts.get(wait.run)
        if start is None:
            continue
        if awaited.state != RunState.DONE or awaited.finished_at is None:
            text = f"run {run.id} was started; run {awaited.id}, it waits for, is {awaited.state}"
            yield Violation("order", f"{run.job}: {text}")
        elif start < awaited.finished_at:
            text = f"run {run.id} was started before run {awaited.id}, it waits for, was done"
            yield Violation("order", f"{run.job}: {text}")


def wrong_falls(history: History) -> Iterator[Violation]:
    """Find runs that did not fall with what they waited for, and those that fell for nothing."""
    runs = {run.id: run for run in history.runs}
    awaited: defaultdict[UUID, list[LedgerRun]] = defaultdict(list)
    for wait in history.waits:
        awaited[wait.run].append(runs[wait.awaited])
    for run in history.runs:
        undone = [other for other in awaited[run.id] if other.state != RunState.DONE]
        fell = run.state == RunState.CANCELLED and run.reason.startswith(DEPENDENCY)
        if undone and run.state != RunState.CANCELLED:
            text = f"run {run.id} is {run.state}; run {undone[0].id}, it waits for, is not done"
            yield Violation("order", f"{run.job}: {text}")
        elif fell and not undone:
            text = f"run {run.id} is cancelled for {run.reason}, and all it waits for is done"
            yield Violation("order", f"{run.job}: {text}")


def lost_work(history: History) -> Iterator[Violation]:
    """Find submissions that are not there whole: promised ones, and those that got no answer."""
    there = Counter(run.submission for run in history.runs)
    for work in {*history.promised_work, *history.built_work}:
        if there[work.submission] != work.runs:
            text = f"has {there[work.submission]} runs of the {work.runs} that it was made of"
            yield Violation("lost", f"{work.office}: submission {work.submission} {text}")


def begun_unbuilt(history: History) -> Iterator[Violation]:
    """Find attempts of what is not whole, or nowhere."""
    for attempt in history.attempts:
        if history.job_of(attempt.run) is None:
            text = f"run {attempt.run} was started, and is of no submission that is whole"
            yield Violation("order", text)
