"""The ledger against the tasks' own notes, which neither database nor broker has touched."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID

from opsproject.chaos.checker.violation import Violation
from opsproject.chaos.history import Execution, History
from opsproject.chaos.notes import RETURNED
from scheduling.states import Outcome, RunState

LATE_SECONDS = 1.0  # the ledger's instants are those at which its writers began to look
GIVEN_AWAY = frozenset({Outcome.LOST, Outcome.RELEASED})
ABRUPT = GIVEN_AWAY | {Outcome.CANCELLED, Outcome.TIMEOUT}


def done_without_execution(history: History) -> Iterator[Violation]:
    """Find done runs whose winning attempt never returned by its own notes."""
    returned = {
        (execution.run, execution.attempt)
        for execution in history.executions
        if execution.outcome == RETURNED
    }
    for run in history.runs:
        if run.state == RunState.DONE and (run.id, run.attempt) not in returned:
            text = f"run {run.id} is done by attempt {run.attempt}, which noted no return"
            yield Violation("unexecuted", f"{run.job}: {text}")


def unknown_executions(history: History) -> Iterator[Violation]:
    """Find executions that the ledger never granted."""
    granted = {(attempt.run, attempt.number) for attempt in history.attempts}
    for execution in history.executions:
        if (execution.run, execution.attempt) not in granted:
            yield Violation("unledgered", f"{execution} is not in the ledger")


def executed_twice(history: History) -> Iterator[Violation]:
    """Find attempts that were executed more than once."""
    times = Counter((execution.run, execution.attempt) for execution in history.executions)
    for (run, attempt), count in times.items():
        if count > 1:
            job = history.job_of(run)
            yield Violation("doubled", f"{job}: run {run} attempt {attempt} executed {count} times")


def wrong_results(history: History) -> Iterator[Violation]:
    """Find done runs whose recorded result is that of another attempt."""
    for run in history.runs:
        if run.state == RunState.DONE and run.told != f"{run.id}:{run.attempt}":
            text = f"run {run.id} is done by attempt {run.attempt}, its result is of {run.told}"
            yield Violation("stolen", f"{run.job}: {text}")


def outlived(history: History) -> Iterator[Violation]:
    """Find executions that went on after the ledger had ended their attempt and freed its slot."""
    ends = {
        (attempt.run, attempt.number): attempt.finished_at.timestamp()
        for attempt in history.attempts
        if attempt.finished_at is not None
        and not (history.frozen and attempt.outcome in GIVEN_AWAY)
    }
    for execution in history.executions:
        end = ends.get((execution.run, execution.attempt))
        late = 0.0 if end is None else execution.wall + execution.seconds - end
        if late > LATE_SECONDS:
            text = f"{execution} went on for {late:.1f} s after the ledger had ended it"
            yield Violation("outlived", f"{history.job_of(execution.run)}: {text}")


def overlaps(history: History) -> Iterator[Violation]:
    """Find moments at which two executions of one run went on."""
    by_run: defaultdict[UUID, list[Execution]] = defaultdict(list)
    for execution in sorted(history.executions, key=lambda execution: execution.began):
        by_run[execution.run].append(execution)
    for run, executions in by_run.items():
        longest = executions[0]
        for one, other in pairwise(executions):
            longest = max(longest, one, key=lambda execution: execution.last_seen)
            if other.began < longest.last_seen:
                seconds = min(longest.last_seen, other.last_seen) - other.began
                text = f"{longest} and {other} both went on for {seconds:.1f} s"
                yield Violation("overlap", f"{history.job_of(run)}: {text}")


def different_stories(history: History) -> list[str]:
    """List executions that ended otherwise than the ledger says; each is a crash seen from inside.

    A worker that dies between the end of the work and its commit leaves one: the work was done, the
    ledger calls the attempt lost. That is why side effects are at-least-once.
    """
    outcomes = {(attempt.run, attempt.number): attempt.outcome for attempt in history.attempts}
    return [
        f"{history.job_of(execution.run)}: {execution}; the ledger says {outcome}"
        for execution in history.executions
        if (outcome := outcomes.get((execution.run, execution.attempt))) is not None
        and not _agree(execution.outcome, outcome)
    ]


def _agree(noted: str, outcome: str) -> bool:
    if noted == RETURNED:
        return outcome == Outcome.DONE
    if not noted:  # the process was killed: by a crash, by the platform, or by the task itself
        return outcome in {*ABRUPT, Outcome.FAILED}
    return outcome in {Outcome.FAILED, Outcome.TIMEOUT, Outcome.CANCELLED}
