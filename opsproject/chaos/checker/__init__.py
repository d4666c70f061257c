"""Judges a history; pure. What is found is a `Violation` with its evidence, or only told.

`ticks` holds what was planned against the verdicts, `chains` one link against the next, `outcomes`
the ledger against itself, `executions` the ledger against what the tasks noted, `limits` the slots,
`promises` what operators were told, `office_work` the order of what waits for each other.
"""

from collections.abc import Callable, Iterator

from opsproject.chaos.checker.chains import chain_violations
from opsproject.chaos.checker.executions import (
    different_stories,
    done_without_execution,
    executed_twice,
    outlived,
    overlaps,
    unknown_executions,
    wrong_results,
)
from opsproject.chaos.checker.limits import (
    exceeded_in_ledger,
    exceeded_in_looks,
    exceeded_in_notes,
    most_at_once,
)
from opsproject.chaos.checker.office_work import begun_unbuilt, broken_order, lost_work, wrong_falls
from opsproject.chaos.checker.outcomes import outcome_contradictions
from opsproject.chaos.checker.promises import (
    broken_promises,
    undone_cancellations,
    unexplained_ends,
    wrong_startup_runs,
)
from opsproject.chaos.checker.ticks import tick_violations
from opsproject.chaos.checker.violation import Violation
from opsproject.chaos.history import History

__all__ = ["Violation", "check", "different_stories", "most_at_once", "overlaps"]

CHECKS: tuple[Callable[[History], Iterator[Violation]], ...] = (
    tick_violations,
    chain_violations,
    unexplained_ends,
    outcome_contradictions,
    done_without_execution,
    unknown_executions,
    executed_twice,
    wrong_results,
    outlived,
    exceeded_in_ledger,
    exceeded_in_notes,
    exceeded_in_looks,
    broken_promises,
    wrong_startup_runs,
    undone_cancellations,
    broken_order,
    wrong_falls,
    lost_work,
    begun_unbuilt,
)


def check(history: History) -> list[Violation]:
    """Return all that must not be. Under SIGSTOP overlaps are no violation: they are told apart."""
    found = [violation for one in CHECKS for violation in one(history)]
    return found if history.frozen else [*found, *overlaps(history)]
