"""What the proof finds for one job: the sums, and every tick that does not add up."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

MOST_PROBLEMS = 20


class Trouble(StrEnum):
    """The ways in which an account can be wrong; the value says what it means and what to do."""

    MISSING = (
        "A missing tick has neither a run nor a skip: rows were deleted by hand, or an older "
        "database was restored. Its work was not done: run the job now if it is still wanted."
    )
    DOUBLED = (
        "A doubled tick has two verdicts: rows were inserted or copied by hand. Look whether its "
        "work was done twice, and delete the row that is too many."
    )
    INVENTED = (
        "An invented tick was never planned: its row, or the epochs of the job, were changed by "
        "hand. Compare them with a backup of the database."
    )
    MISCOUNTED = (
        "A miscounted stretch or day holds other ticks than its schedule: the number was changed "
        "by hand, or rows of it were. Compare it with a backup of the database."
    )
    BROKEN = (
        "A broken chain does not go on, though its last run ended a while ago: start a beat, or "
        "look at the job's schedule error."
    )
    UNREADABLE = (
        "A row that cannot be read proves nothing: restore it from a backup of the database."
    )


@dataclass
class Account:
    """One job's ticks in a window; `verdicts` by their names in `scheduling.tally`."""

    scope: str
    job_id: str
    planned: int = 0
    open: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    unplanned: Counter[str] = field(default_factory=Counter)  # runs without a tick, beside it
    whole_days_from: date | None = None  # the window was widened to where this day begins
    problems: list[str] = field(default_factory=list)  # the first ones tell enough
    problems_found: int = 0
    troubles: set[Trouble] = field(default_factory=set)

    @property
    def closes(self) -> bool:
        """Whether every planned tick has exactly one verdict or is open, and nothing is extra."""
        return not self.problems_found and self.planned == self.verdicts.total() + self.open

    def note(self, trouble: Trouble, problem: str) -> None:
        """Count a problem, and keep its words up to a bound."""
        self.problems_found += 1
        self.troubles.add(trouble)
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)
