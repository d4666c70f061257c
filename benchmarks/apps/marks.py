"""Tells when a worker without a ledger begins and ends: its first and last message are marks."""

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks.apps import MARK, NOOP

MARKS = "BENCH_MARKS"  # the variable that names the file


def add_tasks(app: Celery, **options: Any) -> None:
    """Give a peer the no-op task and the mark, which writes down when its body ran."""

    @app.task(name=NOOP, **options)
    def noop() -> None:
        """Do nothing."""

    @app.task(name=MARK, **options)
    def mark() -> None:
        with Path(os.environ[MARKS]).open("a", encoding="utf-8") as file:
            file.write(f"{time.time()}\n")
