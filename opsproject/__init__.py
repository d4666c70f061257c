"""The composition root: settings, URLs, the Celery app and the commands that run the platform."""

from opsproject.celery import app as celery_app

__all__ = ["celery_app"]
