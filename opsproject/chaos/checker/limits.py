"""Nothing ever has more at once than it allows: by the ledger, by the notes, in every look.

Neither a job, nor an office, nor a role in an office.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from opsproject.chaos.checker.executions import GIVEN_AWAY
from opsproject.chaos.checker.violation import Violation
from opsproject.chaos.history import Excess, History


@dataclass(frozen=True)
class _Span:
    """Something that took a slot and went on in [began, ended), in seconds of one clock."""

    began: float
    ended: float
    name: str


def exceeded_in_ledger(history: History) -> Iterator[Violation]:
    """Sweep over the attempts' recorded times."""
    yield from _exceeded(history, _recorded(history), "by the ledger's times")


def most_at_once(history: History) -> dict[str, int]:
    """Return the most that each job, office and role ever had at once, by the recorded times."""
    return {
        slot: max(len(going) for going in _crowds(spans, 0))
        for slot, spans in _recorded(history).items()
    }


def _recorded(history: History) -> dict[str, list[_Span]]:
    spans: defaultdict[str, list[_Span]] = defaultdict(list)
    for attempt in history.attempts:
        if attempt.finished_at is not None:
            name = f"{attempt.run}:{attempt.number}"
            began, ended = attempt.started_at.timestamp(), attempt.finished_at.timestamp()
            for slot in history.slots_of(attempt.run):
                spans[slot].append(_Span(began, ended, name))
    return spans


def exceeded_in_notes(history: History) -> Iterator[Violation]:
    """Sweep over the executions; one that outlived its frozen worker's lease is counted apart."""
    given_away = {
        (attempt.run, attempt.number)
        for attempt in history.attempts
        if attempt.outcome in GIVEN_AWAY
    }
    spans: defaultdict[str, list[_Span]] = defaultdict(list)
    for execution in history.executions:
        if history.frozen and (execution.run, execution.attempt) in given_away:
            continue
        name = f"{execution.run}:{execution.attempt}"
        for slot in history.slots_of(execution.run):
            spans[slot].append(_Span(execution.began, execution.last_seen, name))
    yield from _exceeded(history, spans, "by the tasks' notes")


def exceeded_in_looks(history: History) -> Iterator[Violation]:
    """Report what the watcher saw in the ledger while the cluster ran."""
    for excess in history.excesses:
        yield Violation("limit", _told(excess))


def _exceeded(history: History, spans: dict[str, list[_Span]], witness: str) -> Iterator[Violation]:
    for slot, limit in history.limits.items():
        for together in _crowds(spans.get(slot, ()), limit):
            names = ", ".join(span.name for span in together)
            text = f"{len(together)} at once where {limit} are allowed, {witness}: {names}"
            yield Violation("limit", f"{slot}: {text}")


def _crowds(spans: Iterable[_Span], limit: int) -> Iterator[list[_Span]]:
    """Yield what went on together whenever a start made it more than the limit."""
    going: list[_Span] = []
    for span in sorted(spans, key=lambda span: span.began):
        going = [other for other in going if other.ended > span.began] + [span]
        if len(going) > limit:
            yield going


def _told(excess: Excess) -> str:
    runs = ", ".join(excess.runs)
    seen = f"{len(excess.runs)} slots held where {excess.limit} are allowed"
    return f"{excess.job}: {seen}, seen at {excess.at.isoformat()}: {runs}"
