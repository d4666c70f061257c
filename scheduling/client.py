"""What a worker needs that is no Celery worker: it reads messages and reports runs (SPEC A18).

Only the standard library, and nothing of the rest of the platform: a service that cannot install
it copies this file. Where the scheduler is, the environment says: `SCHEDULER_URL` (by default
http://127.0.0.1:8095, and :9095 for the scope mock) and `SCHEDULER_TOKEN`, a token that may
operate; for one scope of several `SCHEDULER_URL_MOCK` and so on.

    job = parse_job_message(payload)
    do(**job.params)
    mark_job_run(job.job_id, scope=job.scope)

A job whose `reporting` is full is reported by `JobReporter`, from its start to its end.
"""

import base64
import json
import os
import socket
import threading
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

PORTS = {"mock": 9095}
DEFAULT_PORT = 8095
ANSWER_SECONDS, SHORTEST_WAIT_SECONDS = 10.0, 0.5
PATIENCE_SECONDS = 60.0  # a scheduler that is being restarted is waited for this long
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
LONGEST_ERROR = 8_000
NOT_TAKEN = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
LEASE_SHARE = 5 / 6  # of the lease, behind which the worker stops before another may have begun


class JobMessageError(ValueError):
    """The payload is no message of the scheduler; the text says what is wrong with it."""


class JobExpired(Exception):  # noqa: N818 the name reads at the raise
    """The message came too late: the run is over, drop it."""


class JobRefused(Exception):  # noqa: N818
    """The attempt is over, or somebody else's: drop its message, stop what is done for it."""


class JobCancelled(Exception):  # noqa: N818
    """The run was cancelled, or is past its deadline: stop."""


class SchedulerError(Exception):
    """The scheduler did not take it; `status` is HTTP's, or 0 where there was no answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, kw_only=True)
class JobMessage:
    """A run that is to be done; times are aware, delays in seconds."""

    job_id: str
    scope: str
    run_id: str
    attempt: int
    trigger_source: str
    params: dict[str, Any]
    next_delay_sec: float | None
    timeout_sec: float | None
    max_attempts: int | None
    expires_at: datetime | None


def parse_job_message(payload: bytes | str | Mapping[str, Any]) -> JobMessage:
    """Read a message: its JSON, what that says, or kombu's envelope as it lies in Redis.

    Raises JobMessageError for anything else, and JobExpired for one that came too late.
    """
    said = _opened(payload)
    try:
        expires_at = said.get("expires_at")
        message = JobMessage(
            job_id=str(said["job_id"]),
            scope=str(said["scope"]),
            run_id=str(said["run_id"]),
            attempt=int(said["attempt"]),
            trigger_source=str(said["trigger_source"]),
            params=dict(said["params"]),
            next_delay_sec=said.get("next_delay_sec"),
            timeout_sec=said.get("timeout_sec"),
            max_attempts=said.get("max_attempts"),
            expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise JobMessageError(f"no message of the scheduler: {error!r} in {said!r:.200}") from error
    if message.expires_at is not None and message.expires_at <= datetime.now(UTC):
        raise JobExpired(
            f"run {message.run_id} of job {message.job_id} expired at {message.expires_at}"
        )
    return message


def mark_job_run(  # noqa: PLR0913 what a report may say
    job_id: str,
    scope: str = "",
    *,
    status: str = "done",
    error: str = "",
    error_code: str | None = None,
    result: Any = None,
) -> dict[str, Any]:
    """Report that the job's oldest open run has ended: done, or failed with an error.

    It is not idempotent, so a request that may have arrived is not sent again. Returns what the
    scheduler answers; raises SchedulerError.
    """
    body = {"status": status, "error": error[:LONGEST_ERROR], "result": result}
    body |= {"scope": scope} if scope else {}
    body |= {"error_code": error_code} if error_code else {}
    return _post(scope, f"/jobs/{quote(job_id, safe='')}/last-run", body, again=False)


def startup_oneshot(job_id: str, boot_id: str, scope: str = "") -> str | None:
    """Ask for the job's start-up run; the same `boot_id` gives the same one. Return the run's id.

    None where the job is paused or disabled.
    """
    path = f"/jobs/{quote(job_id, safe='')}/startup-oneshot"
    run_id: str | None = _post(scope, path, {"boot_id": boot_id}, again=True)["run_id"]
    return run_id


class JobReporter:
    """Reports an attempt in full: its start, that it goes on, its end.

    As a context manager it starts, renews the lease in a thread, and reports what came: `result`,
    or the exception that was raised. `start` raises JobRefused for what is not to be done.
    """

    def __init__(self, job: JobMessage, *, reporter: str = "") -> None:
        self.job = job
        self.result: Any = None
        self.cancelled = threading.Event()
        self._reporter = reporter or f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:12]}"
        self._path = f"/api/runs/{job.run_id}/{job.attempt}"
        self._lease = 0.0
        self._heard_at = 0.0  # when the last request began that was answered
        self._over = threading.Event()
        self._renewer: threading.Thread | None = None

    def start(self) -> dict[str, Any]:
        """Take the attempt; return its params as the scheduler knows them. Raises JobRefused."""
        began = time.monotonic()
        answer = self._tell("start", {"reporter": self._reporter})
        self._lease, self._heard_at = float(answer["lease_sec"]), began
        params: dict[str, Any] = answer["params"]
        return params

    def renew(self) -> bool:
        """Say that it goes on; False once it is to stop. Raises JobRefused, SchedulerError."""
        began = time.monotonic()
        if self._tell("renew", {}, patience=self._lease_left())["cancel"]:
            self.cancelled.set()
        self._heard_at = began
        return not self.cancelled.is_set()

    def succeed(self, result: Any = None) -> None:
        """Report that it is done; raises JobRefused where that counts no more."""
        self._over.set()
        self._tell("succeed", {"result": result})

    def fail(self, error: str, error_code: str | None = None) -> None:
        """Report that it failed; raises JobRefused where that counts no more."""
        self._over.set()
        body = {"error": error[:LONGEST_ERROR]} | ({"error_code": error_code} if error_code else {})
        self._tell("fail", body)

    def check(self) -> None:
        """Raise JobCancelled once the run is to stop; call it between two steps of the work."""
        if self.cancelled.is_set():
            raise JobCancelled(f"run {self.job.run_id} of job {self.job.job_id} is to stop")

    def __enter__(self) -> Self:
        self.start()
        self._renewer = threading.Thread(target=self._renew_on, name="ops-lease", daemon=True)
        self._renewer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._over.set()
        if error is None:
            self.succeed(self.result)
            return False
        told = "".join(traceback.format_exception(kind, error, trace))
        stopped = isinstance(error, JobCancelled)
        with suppress(*[JobRefused] * stopped):
            self.fail(f"{type(error).__name__}: {error}\n\n{told}", type(error).__name__)
        return stopped  # as it was told to

    def _renew_on(self) -> None:
        """Renew six times a lease; who is not heard until it is over is taken for dead: stop."""
        while not self._over.wait(min(self._lease / 6, self._lease_left())):
            try:
                self.renew()
            except JobRefused:
                break
            except SchedulerError:  # it may be reached the next time
                if self._lease_left() <= 0:
                    break
        else:
            return
        self.cancelled.set()

    def _lease_left(self) -> float:
        """Return for how many seconds more nobody else can have begun."""
        return max(0.0, self._heard_at + self._lease * LEASE_SHARE - time.monotonic())

    def _tell(
        self, what: str, body: Mapping[str, Any], *, patience: float = PATIENCE_SECONDS
    ) -> dict[str, Any]:
        path = f"{self._path}/{what}"
        try:
            return _post(self.job.scope, path, body, again=True, patience=patience)
        except SchedulerError as error:
            if error.status == HTTPStatus.CONFLICT:
                raise JobRefused(str(error)) from error
            raise


def _opened(payload: bytes | str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the JSON object of a payload, out of kombu's envelope if it is in one."""
    said: Any = payload
    try:
        if isinstance(said, bytes | str):
            said = json.loads(said)
        if isinstance(said, Mapping) and "body" in said and "properties" in said:
            encoded = said["properties"].get("body_encoding") == "base64"
            said = json.loads(base64.b64decode(said["body"]) if encoded else said["body"])
    except (ValueError, AttributeError) as error:
        raise JobMessageError(f"no message of the scheduler: {error}") from error
    if not isinstance(said, Mapping):
        raise JobMessageError(f"no message of the scheduler: {said!r:.200} is no JSON object")
    return said


def _setting(name: str, scope: str) -> str | None:
    of_scope = f"{name}_{scope.upper().replace('-', '_')}" if scope else name
    return os.environ.get(of_scope) or os.environ.get(name)


def _post(
    scope: str,
    path: str,
    body: Mapping[str, Any],
    *,
    again: bool,
    patience: float = PATIENCE_SECONDS,
) -> dict[str, Any]:
    """Send it, and once more what surely did not arrive; `again`: also what may have arrived."""
    url = _setting("SCHEDULER_URL", scope) or f"http://127.0.0.1:{PORTS.get(scope, DEFAULT_PORT)}"
    request = urllib.request.Request(  # noqa: S310 the operator's own URL
        url.rstrip("/") + path,
        data=json.dumps(body, default=repr).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Bearer {_setting('SCHEDULER_TOKEN', scope) or ''}",
        },
        method="POST",
    )
    until, pause = time.monotonic() + patience, FIRST_PAUSE_SECONDS
    while True:
        left = max(SHORTEST_WAIT_SECONDS, min(ANSWER_SECONDS, until - time.monotonic()))
        try:
            with urllib.request.urlopen(request, timeout=left) as answer:  # noqa: S310
                said: dict[str, Any] = json.load(answer)
                return said
        except urllib.error.HTTPError as error:
            failed = _refusal(error)
            worth_it = error.code in NOT_TAKEN or (
                again and error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
            )
        except (OSError, ValueError, HTTPException) as error:
            failed = SchedulerError(0, "unreachable", f"{url} does not answer: {error}")
            worth_it = again or _did_not_arrive(error)
        if not worth_it or time.monotonic() + pause > until:
            raise failed
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _refusal(error: urllib.error.HTTPError) -> SchedulerError:
    try:
        said = json.load(error)
        return SchedulerError(error.code, said["code"], said["message"])
    except (OSError, ValueError, KeyError, TypeError, HTTPException):
        return SchedulerError(error.code, "refused", f"the scheduler answered {error.code}")


def _did_not_arrive(error: Exception) -> bool:
    """Whether there was no connection at all."""
    reason = getattr(error, "reason", error)
    return isinstance(reason, ConnectionRefusedError | socket.gaierror)
