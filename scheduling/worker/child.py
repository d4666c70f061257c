"""What differs inside the pool process: results are kept as JSON, a retry is told, not sent."""

import json
import threading
from dataclasses import dataclass
from typing import Any

from celery.app.trace import fast_trace_task, trace_task_ret
from celery.exceptions import Retry
from celery.signals import task_success

from scheduling.fence import HEADER

LARGEST_RESULT_BYTES = 64 * 1024

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
    if not failed:
        value = Returned(encode_result(_last.result), str(value))
    return failed, value, runtime


def encode_result(result: Any) -> str:
    """Return a task's result as JSON text of at most 64 KiB; what does not fit is described."""
    try:
        text = json.dumps(result, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return json.dumps({"unserializable": type(result).__name__, "why": str(error)[:200]})
    size = len(text.encode())
    if size > LARGEST_RESULT_BYTES:
        return json.dumps({"too_large_bytes": size, "limit_bytes": LARGEST_RESULT_BYTES})
    return text


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
