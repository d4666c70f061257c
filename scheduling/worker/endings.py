"""Reads what Celery reports of an attempt as an `Ending` for the ledger."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, Retry

from scheduling.fence import Fence
from scheduling.logs import TYPED, configured_redactor
from scheduling.retry import RetryWish
from scheduling.states import Outcome
from scheduling.storable import storable, storable_value
from scheduling.transitions import Ending
from scheduling.worker.child import Returned

LONGEST_ERROR = 8_000
LONGEST_CODE = 100
CODE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def success(fence: Fence, returned: Returned | Any) -> Ending:
    """Return the ending of an attempt that returned."""
    text = returned.json_text if isinstance(returned, Returned) else json.dumps(None)
    result = storable_value(configured_redactor().value(json.loads(text), typed=TYPED))
    return Ending(fence=fence, outcome=Outcome.DONE, result=result)


def failure(fence: Fence, exc_info: Any) -> Ending:
    """Return the ending of an attempt that raised, timed out or lost its process."""
    error = _bare(exc_info.exception)
    if isinstance(error, Ignore) and not isinstance(error, Retry):
        return Ending(fence=fence, outcome=Outcome.DONE)
    wish = _wish(error) if isinstance(error, Retry) else None
    cause = _bare(error.exc) if isinstance(error, Retry) and error.exc else error
    return Ending(
        fence=fence,
        outcome=_outcome(cause),
        error=_text(cause, exc_info),
        error_code=_code(cause),
        wish=wish,
        retryable=bool(getattr(cause, "retryable", True)),
    )


def hard_timeout(fence: Fence, seconds: float) -> Ending:
    """Return the ending of an attempt whose process was killed at its hard limit."""
    return Ending(
        fence=fence,
        outcome=Outcome.TIMEOUT,
        error=f"killed at its hard limit of {seconds:g} s",
        error_code=TimeLimitExceeded.__name__,
    )


def unreadable(fence: Fence, error: Exception) -> Ending:
    """Return the ending of an attempt whose report cannot be read: an exception without a text."""
    return Ending(
        fence=fence,
        outcome=Outcome.FAILED,
        error=f"how the attempt ended could not be read: {type(error).__name__}",
        error_code="EndNotReadable",
    )


def _bare(error: Any) -> Any:
    """Unwrap what Celery wraps around an exception to carry its traceback between processes."""
    return (
        getattr(error, "exc", error) if type(error).__name__ == "ExceptionWithTraceback" else error
    )


def _outcome(error: Any) -> Outcome:
    timed_out = isinstance(error, SoftTimeLimitExceeded | TimeLimitExceeded)
    return Outcome.TIMEOUT if timed_out else Outcome.FAILED


def _code(error: Any) -> str:
    """The exception's stable `code`, else its class name (SPEC A15); never a text of its own."""
    if isinstance(error, WorkerLostError):
        return "ProcessLost"
    code = getattr(error, "code", None)
    if isinstance(code, str) and CODE.fullmatch(code):
        return code
    return type(error).__name__[:LONGEST_CODE]


def _text(error: Any, exc_info: Any) -> str:
    """The message first, for those who read one line; then the traceback; redacted, bounded."""
    text = f"{type(error).__name__}: {error}\n\n{exc_info.traceback or ''}"
    return storable(configured_redactor().text(text))[:LONGEST_ERROR].strip()


def _wish(retry: Retry) -> RetryWish:
    if isinstance(retry.when, datetime):
        due = retry.when if retry.when.tzinfo else retry.when.replace(tzinfo=UTC)
        return RetryWish(countdown=max(timedelta(0), due - datetime.now(UTC)))
    return RetryWish(countdown=timedelta(seconds=float(retry.when or 0)))
