"""The ledger against itself: every run ended once, by its last attempt, and was told of once."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from uuid import UUID

from opsproject.chaos.checker.violation import Violation
from opsproject.chaos.history import History, LedgerAttempt, LedgerRun
from scheduling.models.event import EventKind
from scheduling.states import FINAL, RAN, Outcome, RunState

ENDINGS = {
    EventKind.COMPLETED: RunState.DONE,
    EventKind.FAILED: RunState.FAILED,
    EventKind.TIMEOUT: RunState.TIMEOUT,
    EventKind.CANCELLED: RunState.CANCELLED,
}


def outcome_contradictions(history: History) -> Iterator[Violation]:
    """Find runs that did not end, ended twice, or whose attempts or events say otherwise."""
    attempts: defaultdict[UUID, list[LedgerAttempt]] = defaultdict(list)
    endings: defaultdict[UUID, list[str]] = defaultdict(list)
    starts: Counter[tuple[UUID, int]] = Counter()
    for attempt in history.attempts:
        attempts[attempt.run].append(attempt)
    for event in history.events:
        if event.kind in ENDINGS:
            endings[event.run].append(ENDINGS[EventKind(event.kind)].value)
        elif event.kind == EventKind.STARTED:
            starts[event.run, event.attempt] += 1
    for run in history.runs:
        yield from _of_run(run, attempts[run.id], endings[run.id])
    yield from _of_starts(history.attempts, starts)


def _of_run(
    run: LedgerRun, attempts: list[LedgerAttempt], endings: list[str]
) -> Iterator[Violation]:
    name = f"{run.job}: run {run.id}"
    if run.state not in FINAL:
        yield Violation("unsettled", f"{name} is {run.state} ({run.reason or 'no reason'})")
        return
    ran = run.state in RAN
    if len(endings) != run.reopened + ran or (ran and endings[-1] != run.state):
        text = f"is {run.state}, re-opened {run.reopened} times; told were {endings}"
        yield Violation("outcome", f"{name} {text}")
    for attempt in attempts:
        if attempt.finished_at is None:
            yield Violation("outcome", f"{name} is {run.state}, attempt {attempt.number} is open")
    done = [attempt.number for attempt in attempts if attempt.outcome == Outcome.DONE]
    last_is_done = run.state == RunState.DONE
    if (last_is_done and run.attempt not in done) or len(done) > last_is_done + run.reopened:
        text = f"is {run.state} at attempt {run.attempt}, done were {done}"
        yield Violation("outcome", f"{name} {text}")
    if run.state == RunState.SKIPPED and attempts:
        yield Violation("outcome", f"{name} is skipped ({run.reason}), yet it was started")


def _of_starts(
    attempts: list[LedgerAttempt], starts: Counter[tuple[UUID, int]]
) -> Iterator[Violation]:
    for attempt in attempts:
        times = starts.pop((attempt.run, attempt.number), 0)
        if times != 1:
            name = f"run {attempt.run} attempt {attempt.number}"
            yield Violation("outcome", f"the start of {name} was told {times} times")
    for (run, number), times in starts.items():
        yield Violation(
            "outcome", f"the start of run {run} attempt {number} was told {times} times, it is none"
        )
