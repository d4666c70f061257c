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


def parse(text: str, *, source: Path) -> list[Reading]:
    """Return the readings of a CSV text; raise an EtedaError that names file, line and column."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _check_header(reader.fieldnames, source)
        readings = [_reading(row, f"{source} line {reader.line_num}") for row in reader]
    except csv.Error as error:
        where = f"{source} line {reader.reader.line_num}"  # the outer count stops at the last row
        raise SheetRowError(f"{where}: not CSV ({error}); check the quotes") from error
    if not readings:
        raise SheetRowError(f"{source}: no rows below the header; add at least one reading")
    _refuse_duplicates(readings, source)
    return readings


def _check_header(found: object, source: Path) -> None:
    if not isinstance(found, list) or tuple(name.strip() for name in found) != COLUMNS:
        raise SheetHeaderError(
            f"{source} line 1: the columns are {found!r}; write them as {','.join(COLUMNS)}"
        )


def _reading(row: dict[str | None, str | None], where: str) -> Reading:
    if None in row or None in row.values():
        raise SheetRowError(
            f"{where}: the row does not have {len(COLUMNS)} cells; "
            "quote cells that contain a comma and fill in the missing ones"
        )
    cells = {str(name).strip(): str(cell).strip() for name, cell in row.items()}
    reading = Reading(
        service=_text(cells, "service", where),
        metric=_text(cells, "metric", where),
        unit=cells["unit"],
        value=_number(cells, "value", where),
        warn_at=_number(cells, "warn_at", where),
        critical_at=_number(cells, "critical_at", where),
    )
    if not 0 < reading.warn_at <= reading.critical_at:
        raise SheetRowError(
            f"{where}, column warn_at: {cells['warn_at']!r} must be above 0 and "
            f"not above critical_at {cells['critical_at']!r}; correct one of them"
        )
    return reading


def _text(cells: dict[str, str], column: str, where: str) -> str:
    if not cells[column]:
        raise SheetRowError(f"{where}, column {column}: empty; name the {column}")
    return cells[column]


def _number(cells: dict[str, str], column: str, where: str) -> float:
    cell = cells[column]
    if not NUMBER.fullmatch(cell) or not math.isfinite(number := float(cell)):
        raise SheetRowError(
            f"{where}, column {column}: {cell[:80]!r} is not a number; "
            "write digits with a decimal point, such as 12.5"
        )
    return number


def _refuse_duplicates(readings: list[Reading], source: Path) -> None:
    seen: set[tuple[str, str]] = set()
    for reading in readings:
        key = (reading.service, reading.metric)
        if key in seen:
            raise SheetRowError(
                f"{source}, columns service and metric: {' / '.join(key)!r} "
                "stands there twice; remove one of the rows"
            )
        seen.add(key)
