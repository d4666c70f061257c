"""Probe `google_sheets`: the sheet is a file until a Google Sheet is configured."""

from dataclasses import dataclass
from typing import ClassVar

from monitoring.probes.base import Probe
from monitoring.probes.names import CHECK_GOOGLE_SHEETS


@dataclass(repr=False)
class GoogleSheets(Probe):
    """Says that there is nothing to reach: the pipeline reads the local sheet."""

    name: ClassVar[str] = CHECK_GOOGLE_SHEETS
    checked: ClassVar[bool] = False

    def look(self) -> str:
        """Return that no Google Sheet is configured, which is a choice and not a fault."""
        return "not configured, the pipeline reads its local sheet"
