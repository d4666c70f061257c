"""One redacted line per log record: time, level, logger, constant event text, then its fields."""

import json
import logging
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from scheduling.conf import conf
from scheduling.redaction import Redactor, clip

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
TYPED = frozenset(
    {"job_id", "run_id", "attempt_id", "scope", "trigger_source", "action", "checksum"}
)
LONGEST_TEXT = 32_000  # of a message, a field or a traceback, in characters
# What would break a line or steer a terminal: C0 and C1 controls, and Unicode's own line ends.
CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\t"
} | {0x0A: "\\n", 0x0D: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}


class LineFormatter(logging.Formatter):
    """Formats `2026-01-31T09:00:00.000Z INFO scheduling.engine run finished run_id=… attempt=1`.

    Fields are what `extra=` gives. A traceback follows on indented lines, so that no line of it can
    pass for a record.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line, and its traceback below if it has one."""
        redactor = configured_redactor()
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        head = (
            at.replace("+00:00", "Z"),
            record.levelname,
            record.name,
            redactor.text(clip(_message(record), LONGEST_TEXT)),
        )
        line = " ".join((*head, *_fields(record, redactor))).translate(CONTROLS)
        trace = redactor.text(clip(self._trace(record), LONGEST_TEXT))
        return "\n    ".join((line, *(part.translate(CONTROLS) for part in trace.splitlines())))

    def _trace(self, record: logging.LogRecord) -> str:
        parts = (
            self.formatException(record.exc_info) if record.exc_info else record.exc_text,
            self.formatStack(record.stack_info) if record.stack_info else None,
        )
        return "\n".join(part for part in parts if part)


def configured_redactor() -> Redactor:
    """Return the redactor that the settings describe."""
    return _redactor(
        tuple(conf.OPS_REDACTION_PATTERNS),
        conf.OPS_REDACTION_PLACEHOLDER,
        conf.OPS_REDACTION_KEEP_HASHES,
    )


@lru_cache(maxsize=8)
def _redactor(patterns: tuple[str, ...], placeholder: str, keep_hashes: bool) -> Redactor:  # noqa: FBT001 a cache key
    return Redactor(patterns, placeholder=placeholder, keep_hashes=keep_hashes)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 logging would print the raw arguments to stderr
        return f"{record.msg} (its arguments do not fit: {type(error).__name__})"


def _fields(record: logging.LogRecord, redactor: Redactor) -> list[str]:
    """Return `name=value` for what `extra=` added; Celery's `data` only repeats its message."""
    given = {
        name: value
        for name, value in vars(record).items()
        if name not in STANDARD and not (name == "data" and record.name.startswith("celery"))
    }
    masked = redactor.value(given, typed=TYPED)
    return [f"{name}={_masked(name, value, redactor)}" for name, value in masked.items()]


def _masked(name: str, value: Any, redactor: Redactor) -> str:
    """Mask what an object says of itself too: a request shows its URL, an error its text."""
    shown = _shown(value)
    if name in TYPED or isinstance(value, int | float):
        return shown
    return redactor.text(clip(shown, LONGEST_TEXT))


def _shown(value: Any) -> str:
    """Return numbers, ids and single words bare, anything else as a quoted text or JSON."""
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str, ensure_ascii=False)
    text = str(value)
    return (
        text
        if text and not set(text) & set(" =\"'\t\n\r")
        else json.dumps(text, ensure_ascii=False)
    )
