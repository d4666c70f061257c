"""Extract: read the sheet, whole or not at all, and keep it as a raw snapshot."""

from dataclasses import asdict
from pathlib import Path

from opsproject.eteda.errors import SheetMissingError, SheetUnreadableError
from opsproject.eteda.files import write_record, write_whole
from opsproject.eteda.sheet import Reading, parse

SHIPPED_SHEET = Path(__file__).with_name("sheet.csv")


def extract(sheet: Path, *, snapshot: Path, first_run: bool) -> list[Reading]:
    """Return the readings of `sheet`; on the first run the shipped one is put there before."""
    if first_run and not sheet.exists():
        write_whole(sheet, SHIPPED_SHEET.read_bytes())
    readings = parse(_read(sheet), sheet=sheet)
    write_record(snapshot, {"sheet": sheet.name, "rows": [asdict(reading) for reading in readings]})
    return readings


def _read(sheet: Path) -> str:
    try:
        return sheet.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise SheetMissingError(
            f"{sheet} is gone: put the sheet back, or copy {SHIPPED_SHEET} there to start over"
        ) from error
    except UnicodeDecodeError as error:
        raise SheetUnreadableError(
            f"{sheet}: byte {error.start} is not UTF-8; save the sheet as CSV in UTF-8"
        ) from error
    except OSError as error:
        raise SheetUnreadableError(
            f"{sheet} cannot be read ({error.strerror}); give the worker's user read access"
        ) from error
