"""What differs inside the pool process: results are kept as JSON, a retry is told, not sent."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from billiard.common import terminate_handler_fired  # type: ignore[attr-defined] # the stubs are older
from billiard.einfo import ExceptionInfo
from billiard.exceptions import SoftTimeLimitExceeded
from celery.app.trace import fast_trace_task, trace_task_ret
from celery.exceptions import Retry
from celery.signals import task_success

from scheduling.fence import HEADER
from scheduling.redaction import clip
from scheduling.storable import encode_result
from scheduling.worker.processes import end_others_of_own_group
from scheduling.worker.soft_limit import limited_softly

LONGEST_TEXT = 32_000

_last = threading.local()


@dataclass(frozen=True)
class Returned:
    """What a task returned: JSON text for the ledger, and Celery's short form for events."""

    json_text: str
    brief: str


@task_success.connect(weak=False)
def _keep_result(result: Any = None, **_: Any) -> None:
    _last.result = result


def trace_run(*args: Any, fast: bool, **options: Any) -> tuple[int, Any, float]:
    """Run one task as Celery does, and give back its result as a `Returned` instead of a repr."""
    _last.result = None
    trace = fast_trace_task if fast else trace_task_ret
    failed, value, runtime = trace(*args, **options)
    if terminate_handler_fired() or (failed and _timed_out(value)):
        end_others_of_own_group()  # SPEC A16: with the task ends all that it started
    if failed:
        shorten(value)
    else:
        value = Returned(encode_result(_last.result), str(value))
    return failed, value, runtime


def trace_batch(
    task: str,
    request: dict[str, Any],
    items: Sequence[tuple[str, str, list[Any], dict[str, Any]]],
    *,
    soft_limit: float | None,
    fast: bool,
) -> tuple[int, list[tuple[int, Any, float]], float]:
    """Run one task for several runs, each with its own request; return their reports in order.

    The soft limit, in seconds, is that of each: the parent can arm one for the whole message only.
    """
    began = time.monotonic()
    reports = []
    for attempt_id, fence, args, params in items:
        own = {**request, "id": attempt_id, "task": task, "headers": {HEADER: fence}}
        trace = partial(trace_run, task, attempt_id, own, (args, params, {}), None, None, fast=fast)
        reports.append(_trace_within(soft_limit, trace))
    return 0, reports, time.monotonic() - began


def _trace_within(
    soft_limit: float | None, trace: Callable[[], tuple[int, Any, float]]
) -> tuple[int, Any, float]:
    try:
        with limited_softly(soft_limit):
            return trace()
    except SoftTimeLimitExceeded:
        # It met its limit on the last few lines, which are ours; the others must not suffer for it.
        return 1, ExceptionInfo(), soft_limit or 0.0


def _timed_out(exc_info: Any) -> bool:
    error = exc_info.exception
    return isinstance(getattr(error, "exc", error), SoftTimeLimitExceeded)


class Shortened(Exception):  # noqa: N818 it stands for any error
    """Stands for an exception whose text is too long to be handed to the parent process."""

    def __init__(self, name: str, text: str, code: object, retryable: object) -> None:
        super().__init__(name, text, code, retryable)
        self.name, self.text, self.code, self.retryable = name, text, code, retryable

    def __str__(self) -> str:
        return self.text


def shorten(exc_info: Any) -> None:
    """Bound what a failure carries: masking megabytes of text would hold up the parent."""
    exc_info.traceback = clip(str(exc_info.traceback), LONGEST_TEXT)
    error = exc_info.exception
    if isinstance(error, Retry):
        error.exc = _bounded(error.exc)
        return
    inner = getattr(error, "exc", None)
    if type(error).__name__ == "ExceptionWithTraceback":
        error.exc, error.tb = _bounded(inner), clip(str(error.tb), LONGEST_TEXT)
        if isinstance(inner, Retry):
            error.exc = inner
            inner.exc = _bounded(inner.exc)
    else:
        exc_info.exception = _bounded(error)


def _bounded(error: Any) -> Any:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 the code is the task's
        return error  # the parent says that it cannot be read
    if len(text) <= LONGEST_TEXT:
        return error
    code, retryable = getattr(error, "code", None), getattr(error, "retryable", True)
    return Shortened(type(error).__name__, clip(text, LONGEST_TEXT), code, retryable)


def tell_retries(task: Any) -> None:
    """Make `task.retry` raise for the ledger instead of publishing a message of its own.

    Celery's limit and wait still come from the task's declaration; the ledger keeps the wait.
    """
    publish_retry = task.retry

    def retry(  # noqa: PLR0913, PLR0917 the signature is Celery's
        args: Any = None,
        kwargs: Any = None,
        exc: Exception | None = None,
        throw: bool = True,  # noqa: FBT001, FBT002
        eta: Any = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Any:
        request = task.request
        if request.called_directly or not (request.headers or {}).get(HEADER):
            return publish_retry(args, kwargs, exc, throw, eta, countdown, max_retries, **options)
        limit = task.max_retries if max_retries is None else max_retries
        if limit is not None and request.retries >= limit:
            raise exc or task.MaxRetriesExceededError(f"{task.name} was retried {limit} times")
        wait: Any = task.default_retry_delay if countdown is None else countdown
        told = Retry(exc=exc, when=eta or wait)
        if throw:
            raise told
        return told

    task.retry = retry
