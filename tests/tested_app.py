"""The platform's Celery app with tasks that tests need, for `celery -A tests.tested_app`."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task
from celery.exceptions import Reject
from django.conf import settings

from opsproject.celery import app

__all__ = ["app"]

settings.OPS_TARGETS = {}  # only the test's own jobs


def note(path: str, line: str) -> None:
    """Append one line, visible to the test whatever happens to this process."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


class CodedError(Exception):
    """Says its code, as a task's own errors may."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@app.task(name="tests.task")
def task(path: str | None = None, **params: Any) -> dict[str, Any]:
    if path:
        note(path, "ran")
    return params


@app.task(name="tests.hold")
def hold(path: str, release: str) -> str:
    """Run until a file exists."""
    note(path, "started")
    while not Path(release).exists():
        time.sleep(0.02)
    note(path, "ended")
    return "held"


@app.task(name="tests.fails_until", bind=True, autoretry_for=(ValueError,), max_retries=5,
          retry_backoff=1, retry_jitter=False)  # fmt: skip
def fails_until(self: Task[Any, Any], attempts: int) -> int:
    """Fail until Celery's own count of retries says that it is the last of `attempts`."""
    if self.request.retries + 1 < attempts:
        raise ValueError(f"attempt {self.request.retries + 1}")
    return self.request.retries


@app.task(name="tests.fails_by_count", bind=True)
def fails_by_count(self: Task[Any, Any], failures: int) -> int:
    """Fail as often as told, by the ledger's count of retries."""
    if self.request.retries < failures:
        raise CodedError("SESSION_CRASH")
    return int(self.request.retries)


@app.task(name="tests.fails_with_code")
def fails_with_code(code: str) -> None:
    raise CodedError(code)


@app.task(name="tests.asks_for_retry", bind=True, max_retries=1)
def asks_for_retry(self: Task[Any, Any]) -> None:
    raise self.retry(exc=KeyError("gone"), countdown=0.1)


@app.task(name="tests.requeues", max_retries=1, default_retry_delay=1)
def requeues() -> None:
    raise Reject("not yet", requeue=True)


@app.task(name="tests.dies_once")
def dies_once(path: str) -> str:
    """Kill the pool process in the first attempt."""
    if not Path(path).exists():
        note(path, "died")
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.task(name="tests.sleeps")
def sleeps(seconds: float) -> None:
    time.sleep(seconds)


@app.task(name="tests.leaks")
def leaks() -> None:
    raise RuntimeError("cannot log in with password=hunter2hunter2")


@app.task(name="tests.ignores_soft_limit", soft_time_limit=1, time_limit=2)
def ignores_soft_limit() -> None:
    while True:
        with suppress(SoftTimeLimitExceeded):
            time.sleep(60)


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@app.task(name="tests.raises_unreadable")
def raises_unreadable() -> None:
    raise UnreadableError


class LeakyError(Exception):
    code = "password=hunter2hunter2 and more"


@app.task(name="tests.leaks_in_code")
def leaks_in_code() -> None:
    raise LeakyError


@app.task(name="tests.raises_huge")
def raises_huge() -> None:
    raise ValueError("y z" * 20_000_000)


@app.task(name="tests.stubborn")
def stubborn(path: str) -> None:
    """Start a process of its own, say which, and stop for nobody."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
    note(path, f"{os.getpid()} {child.pid}")
    while True:
        time.sleep(60)


@app.task(name="tests.tidy")
def tidy(path: str) -> None:
    """Run until told to stop, and clean up then."""
    try:
        note(path, f"{os.getpid()}")
        time.sleep(600)
    finally:
        note(path, "cleaned up")


def end_session(attempt: int, params: dict[str, Any], **_: Any) -> None:
    """Be the outside session that a run drives, and is told to end."""
    process = params["path"].rpartition("/")[0] + "/pid"
    stands = Path(process).exists() and Path(f"/proc/{Path(process).read_text().strip()}").exists()
    note(
        params["path"], f"session ended, attempt {attempt}, process {'there' if stands else 'gone'}"
    )


@app.task(name="tests.drives_a_session", cancel=end_session)
def drives_a_session(path: str) -> None:
    note(path.rpartition("/")[0] + "/pid", f"{os.getpid()}")
    time.sleep(600)


@app.task(name="tests.leaves_a_process")
def leaves_a_process(path: str) -> None:
    """Start a process, and run into the soft limit."""
    child = subprocess.Popen(["sleep", "600"])
    note(path, f"{os.getpid()} {child.pid}")
    time.sleep(600)


@app.task(name="tests.short", runs_per_message=10)
def short(
    path: str,
    number: int,
    *,
    fail: bool = False,
    die: bool = False,
    seconds: float = 0,
    stubborn: bool = False,
) -> int:
    """Note which run this is; last, fail or die if told so, the latter only in company."""
    note(path, f"{number}")
    with suppress(*[SoftTimeLimitExceeded] * stubborn):
        time.sleep(seconds)
    if stubborn:
        time.sleep(seconds)
    time.sleep(seconds)
    if fail:
        raise ValueError(f"{number} was told to")
    if die and Path(path).read_text(encoding="utf-8").split().count(str(number)) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
