"""Reads what Celery reports of an attempt as an `Ending` for the ledger."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from billiard.exceptions import (
    SoftTimeLimitExceeded,
    Terminated,
    TimeLimitExceeded,
    WorkerLostError,
)
from celery.exceptions import Ignore, Reject, Retry

from scheduling.ending import PROCESS_LOST, Ending
from scheduling.fence import Fence
from scheduling.logs import TYPED, configured_redactor
from scheduling.redaction import clip
from scheduling.retry import RetryWish
from scheduling.states import Outcome
from scheduling.storable import storable, storable_value
from scheduling.worker.child import Returned, Shortened

LONGEST_ERROR = 8_000
LONGEST_STORED = 2 * LONGEST_ERROR
LONGEST_CODE = 100
DEATHS = (SystemExit, KeyboardInterrupt, Terminated, TimeLimitExceeded, WorkerLostError)
CODE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


def success(fence: Fence, returned: Returned | Any) -> Ending:
    """Return the ending of an attempt that returned."""
    text = returned.json_text if isinstance(returned, Returned) else json.dumps(None)
    result = storable_value(configured_redactor().value(json.loads(text), typed=TYPED))
    return Ending(fence=fence, outcome=Outcome.DONE, result=result)


def failure(fence: Fence, exc_info: Any, *, requeued: RetryWish | None = None) -> Ending:
    """Return the ending of an attempt that raised, timed out or lost its process.

    `requeued` is what a task that rejects and requeues its message is taken to wish. It is charged
    and waits as a retry: given back uncharged, it would come again at once and without an end.
    """
    error = _bare(exc_info.exception)
    if isinstance(error, Ignore) and not isinstance(error, Retry):
        return Ending(fence=fence, outcome=Outcome.DONE)
    wish = _wish(error) if isinstance(error, Retry) else None
    if isinstance(error, Reject) and error.requeue:  # type: ignore[attr-defined] # the stubs lack it
        wish = requeued
    cause = _bare(error.exc) if isinstance(error, Retry) and error.exc else error
    return Ending(
        fence=fence,
        outcome=_outcome(cause),
        error=_text(cause, exc_info),
        error_code=_code(cause),
        wish=wish,
        retryable=bool(getattr(cause, "retryable", True)),
    )


def declared_retry(task: Any, *, retries: int) -> RetryWish | None:
    """Return the retry that a task declares, as `self.retry()` takes it; None if it is used up."""
    if task.max_retries is not None and retries >= task.max_retries:
        return None
    return RetryWish(countdown=timedelta(seconds=task.default_retry_delay))


def hard_timeout(fence: Fence, seconds: float) -> Ending:
    """Return the ending of an attempt whose process was killed at its hard limit."""
    return Ending(
        fence=fence,
        outcome=Outcome.TIMEOUT,
        error=f"killed at its hard limit of {seconds:g} s",
        error_code=TimeLimitExceeded.__name__,
    )


def tells_of_death(exc_info: Any) -> bool:
    """Say whether a report tells that the process died, not what the task did."""
    return isinstance(_bare(getattr(exc_info, "exception", exc_info)), DEATHS)


def unreadable(fence: Fence, exc_info: Any, error: Exception) -> Ending:
    """Return the ending of an attempt whose report cannot be read: an exception without a text."""
    raised = type(_bare(getattr(exc_info, "exception", exc_info))).__name__
    return Ending(
        fence=fence,
        outcome=Outcome.FAILED,
        error=f"it ended with {raised}, which could not be read: {type(error).__name__}",
        error_code="EndNotReadable",
    )


def _bare(error: Any) -> Any:
    """Unwrap what Celery wraps around an exception to carry its traceback between processes."""
    return (
        getattr(error, "exc", error) if type(error).__name__ == "ExceptionWithTraceback" else error
    )


def _outcome(error: Any) -> Outcome:
    if isinstance(error, SoftTimeLimitExceeded | TimeLimitExceeded):
        return Outcome.TIMEOUT
    return Outcome.LOST if isinstance(error, WorkerLostError) else Outcome.FAILED


def _code(error: Any) -> str:
    """The exception's stable `code`, else its class name (SPEC A15); never a text of its own."""
    if isinstance(error, WorkerLostError):
        return PROCESS_LOST
    code = getattr(error, "code", None)
    if isinstance(code, str) and CODE.fullmatch(code):
        return code
    return _name(error)[:LONGEST_CODE]


def _name(error: Any) -> str:
    return error.name if isinstance(error, Shortened) else type(error).__name__


def _text(error: Any, exc_info: Any) -> str:
    """The message first, for those who read one line; then the traceback; redacted, bounded."""
    message = clip(f"{_name(error)}: {error}", LONGEST_ERROR)
    text = f"{message}\n\n{clip(exc_info.traceback or '', LONGEST_ERROR)}"
    return storable(configured_redactor().text(text)).strip()[:LONGEST_STORED]


def _wish(retry: Retry) -> RetryWish:
    if isinstance(retry.when, datetime):
        due = retry.when if retry.when.tzinfo else retry.when.replace(tzinfo=UTC)
        return RetryWish(countdown=max(timedelta(0), due - datetime.now(UTC)))
    return RetryWish(countdown=timedelta(seconds=float(retry.when or 0)))
