"""The sheet: what its rows mean, and what is refused before anything is written."""

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

from opsproject.eteda.errors import SheetHeaderError, SheetRowError

COLUMNS = ("service", "metric", "unit", "value", "warn_at", "critical_at")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One row: a measured value and the two thresholds above which it matters."""

    service: str
    metric: str
    unit: str
    value: float
    warn_at: float
    critical_at: float


@dataclass(frozen=True)
class Place:
    """Where in which sheet something stands."""

    sheet: Path
    line: int

    def refusal(self, problem: str, *, column: str = "") -> SheetRowError:
        """Return the error that names the place; the path comes last, for it is long."""
        where = f"line {self.line}, column {column}" if column else f"line {self.line}"
        return SheetRowError(f"{where}: {problem} (in {self.sheet})")


def parse(text: str, *, sheet: Path) -> list[Reading]:
    """Return the readings of a CSV text; raise an EtedaError that names line, column and sheet."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    readings: dict[tuple[str, str], Reading] = {}
    try:
        _check_header(reader.fieldnames, sheet)
        for row in reader:
            place = Place(sheet, reader.line_num)
            reading = _reading(row, place)
            if readings.setdefault((reading.service, reading.metric), reading) is not reading:
                raise place.refusal(
                    f"{reading.service} / {reading.metric} stands there twice; remove one of them"
                )
    except csv.Error as error:
        place = Place(sheet, reader.reader.line_num)  # the outer count stops at the last good row
        raise place.refusal(f"not CSV ({error}); check the quotes") from error
    if not readings:
        raise Place(sheet, 2).refusal("no rows below the header; add at least one reading")
    return list(readings.values())


def _check_header(found: object, sheet: Path) -> None:
    if not isinstance(found, list) or tuple(name.strip() for name in found) != COLUMNS:
        raise SheetHeaderError(
            f"line 1: the columns are {found!r}; write them as {','.join(COLUMNS)} (in {sheet})"
        )


def _reading(row: dict[str | None, str | None], place: Place) -> Reading:
    if None in row or None in row.values():
        raise place.refusal(
            f"the row does not have {len(COLUMNS)} cells; "
            "quote cells that contain a comma and fill in the missing ones"
        )
    cells = {str(name).strip(): str(cell).strip() for name, cell in row.items()}
    reading = Reading(
        service=_text(cells, "service", place),
        metric=_text(cells, "metric", place),
        unit=cells["unit"],
        value=_number(cells, "value", place),
        warn_at=_number(cells, "warn_at", place),
        critical_at=_number(cells, "critical_at", place),
    )
    if not 0 < reading.warn_at <= reading.critical_at:
        raise place.refusal(
            f"{cells['warn_at']!r} must be above 0 and not above critical_at "
            f"{cells['critical_at']!r}; correct one of them",
            column="warn_at",
        )
    return reading


def _text(cells: dict[str, str], column: str, place: Place) -> str:
    if not cells[column]:
        raise place.refusal(f"empty; name the {column}", column=column)
    return cells[column]


def _number(cells: dict[str, str], column: str, place: Place) -> float:
    cell = cells[column]
    if not NUMBER.fullmatch(cell) or not math.isfinite(number := float(cell)):
        raise place.refusal(
            f"{cell[:80]!r} is not a number; write digits with a decimal point, such as 12.5",
            column=column,
        )
    return number
