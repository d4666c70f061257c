"""What may go wrong in a run of the loop; each error names the thing and the remedy.

EtedaError
  SheetMissingError      sheet_missing
  SheetUnreadableError   sheet_unreadable
  SheetHeaderError       sheet_header
  SheetRowError          sheet_row
"""


class EtedaError(Exception):
    """The loop could not finish; nothing of this run was acted upon."""

    code = "eteda"


class SheetMissingError(EtedaError):
    """The sheet was there once and is gone."""

    code = "sheet_missing"


class SheetUnreadableError(EtedaError):
    """The sheet cannot be read as a UTF-8 text file."""

    code = "sheet_unreadable"


class SheetHeaderError(EtedaError):
    """The columns of the sheet are not the expected ones."""

    code = "sheet_header"


class SheetRowError(EtedaError):
    """One row of the sheet cannot be used."""

    code = "sheet_row"
