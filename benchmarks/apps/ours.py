"""The platform's Celery app with a no-op task, for `celery -A benchmarks.apps.ours`."""

import time
from pathlib import Path
from typing import Any

from celery import Task
from django.conf import settings

from benchmarks.apps import NOOP, SHORT_NOOP, STAMP
from opsproject.celery import app

__all__ = ["app"]

settings.OPS_TARGETS = {}  # only the benchmark's own jobs


@app.task(name=NOOP)
def noop() -> None:
    """Do nothing: what is measured is everything around it."""


@app.task(name=SHORT_NOOP, runs_per_message=50)
def short_noop() -> None:
    """The same, and declared to be short."""


@app.task(name=STAMP, bind=True)
def stamp(self: Task[Any, Any], path: str) -> None:
    """Write down when this attempt's body ran."""
    now = time.time()
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{self.request.id} {now}\n")
