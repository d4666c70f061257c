"""The table: what was measured, what it has to reach, and the peers of the same run beside it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from scheduling.table import table

HEADS = ("what", "who", "median", "rounds", "of ours", "to reach", "note")
THREE_DIGITS = 100


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row: the rounds of one contestant. The first contestant of a discipline is ours."""

    what: str
    who: str
    unit: str
    rounds: Sequence[float]
    reach: str = ""
    note: str = ""

    @property
    def median(self) -> float:
        """The middle one of its rounds."""
        return median(self.rounds)


def render(figures: Iterable[Figure]) -> str:
    """Return the figures as a table, each peer as a multiple of ours."""
    ours: dict[str, Figure] = {}
    rows = []
    for figure in figures:
        first = ours.setdefault(figure.what, figure)
        rows.append(
            (
                figure.what,
                figure.who,
                f"{_number(figure.median)} {figure.unit}",
                " ".join(_number(value) for value in figure.rounds),
                "" if figure is first else _ratio(figure.median, first.median),
                figure.reach,
                figure.note,
            )
        )
    return table(HEADS, rows)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < THREE_DIGITS else f"{value:,.0f}"


def _ratio(theirs: float, ours: float) -> str:
    return f"{theirs / ours:.2f} ×" if ours else "–"
