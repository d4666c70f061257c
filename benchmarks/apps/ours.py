"""The platform's Celery app with a no-op task, for `celery -A benchmarks.apps.ours`."""

from django.conf import settings

from benchmarks.apps import NOOP
from opsproject.celery import app

__all__ = ["app"]

settings.OPS_TARGETS = {}  # only the benchmark's own jobs


@app.task(name=NOOP)
def noop() -> None:
    """Do nothing: what is measured is everything around it."""
