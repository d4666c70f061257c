"""What the operator sees at the end: counts first, then what must not be, with its evidence."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from opsproject.chaos.checker import Violation, different_stories, most_at_once, overlaps
from opsproject.chaos.checker.ticks import planned_ticks
from opsproject.chaos.history import History, LedgerRun
from opsproject.chaos.killer import Kill
from scheduling.states import RunState, Trigger
from scheduling.table import table

MOST_SHOWN = 30


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that a run of chaos has brought to light."""

    history: History
    kills: Sequence[Kill]
    actions: Counter[str]
    refused: int
    looks: int
    violations: Sequence[Violation]


def report(findings: Findings) -> str:
    """Return the whole of it as text."""
    parts = [
        _kills_table(findings),
        _counts_table(findings),
        *([_offices_table(findings.history)] if findings.history.waits else []),
        *_listed("seen otherwise from inside (no violation)", different_stories(findings.history)),
        *(_listed("overlaps under SIGSTOP (no violation)", _told(overlaps(findings.history)))
          if findings.history.frozen else []),
        *_listed("VIOLATIONS", _told(findings.violations)),
    ]  # fmt: skip
    return "\n\n".join(parts)


def recovery_times(kills: Iterable[Kill], ends: Sequence[float]) -> dict[str, list[float]]:
    """Return by kind how long after each kill the next run of any job ended, in seconds."""
    times: dict[str, list[float]] = {}
    for kill in kills:
        following = [end - kill.at for end in ends if end > kill.at]
        if following:
            times.setdefault(kill.kind, []).append(min(following))
    return times


def _kills_table(findings: Findings) -> str:
    ended = [run.finished_at for run in findings.history.runs if run.state != RunState.SKIPPED]
    times = recovery_times(findings.kills, [end.timestamp() for end in ended if end is not None])
    counted = Counter(kill.kind for kill in findings.kills)
    rows = [(kind, number, *_recovery(times.get(kind))) for kind, number in sorted(counted.items())]
    heads = ("killed", "times", "next run ended after: median", "longest")
    return table(heads, [*rows, ("all", len(findings.kills), "", "")])


def _recovery(seconds: list[float] | None) -> tuple[str, str]:
    return (f"{median(seconds):.2f} s", f"{max(seconds):.2f} s") if seconds else ("-", "-")


def _counts_table(findings: Findings) -> str:
    history = findings.history
    wrong = Counter(violation.kind for violation in findings.violations)
    outcomes = Counter(attempt.outcome for attempt in history.attempts)
    work = [run for run in history.runs if run.submission is not None]
    triggers = Counter(run.trigger for run in history.runs if run.submission is None)
    rows: list[tuple[str, object]] = [
        ("ticks planned", sum(len(planned_ticks(epoch, history.runs)) for epoch in history.epochs)),
        *((f"  {verdict}", number) for verdict, number in sorted(_verdicts(history).items())),
        ("  missing", wrong["missing"]),
        ("  doubled", wrong["doubled"]),
        ("  invented", wrong["invented"]),
        ("runs", len(history.runs)),
        ("  triggered by an operator", triggers[Trigger.MANUAL]),
        ("  at the start of the deployment", triggers[Trigger.STARTUP]),
        ("  of offices' work", len(work)),
        *((f"    {state}", number) for state, number in sorted(_states(work).items())),
        ("dependencies", len(history.waits)),
        ("  started out of order", wrong["order"]),
        ("attempts", len(history.attempts)),
        *((f"  {outcome or 'open'}", number) for outcome, number in sorted(outcomes.items())),
        ("executions noted by the tasks", len(history.executions)),
        ("overlaps of one run's executions", len(list(overlaps(history)))),
        ("limits exceeded", wrong["limit"]),
        ("looks at the slots", findings.looks),
        ("schedule epochs", len(history.epochs)),
        ("operator's actions", findings.actions.total()),
        *((f"  {name}", number) for name, number in sorted(findings.actions.items())),
        ("  refused while the database was down", findings.refused),
        ("violations", len(findings.violations)),
    ]
    return table(("counted", "number"), rows)


def _offices_table(history: History) -> str:
    """Say how much each office, and each role in it, ever had at once."""
    offices = {run.job for run in history.runs if run.submission is not None}
    named = {slot for run in history.runs if run.job in offices for slot in (run.job, *run.slots)}
    most = most_at_once(history)
    rows = [(slot, most.get(slot, 0), history.limits.get(slot, "-")) for slot in sorted(named)]
    return table(("office, role", "most at once", "allowed"), rows)


def _states(runs: Iterable[LedgerRun]) -> Counter[str]:
    return Counter(run.state for run in runs)


def _verdicts(history: History) -> Counter[str]:
    """Count the verdicts of ticks."""
    found: Counter[str] = Counter()
    for run in history.runs:
        if run.tick is not None:
            skipped = run.state == RunState.SKIPPED
            found[f"skipped: {run.reason}" if skipped else run.state] += 1
    for skip in history.skips:
        found[f"skipped: {skip.reason}"] += skip.count
    return found


def _told(violations: Iterable[Violation]) -> list[str]:
    return [str(violation) for violation in violations]


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    """Return the lines under a title, the first of them; nothing if there are none."""
    if not lines:
        return []
    more = [f"… and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
    return ["\n".join([f"{title}: {len(lines)}", *lines[:MOST_SHOWN], *more])]
