"""The Celery application, for `celery -A opsproject worker|beat|flower`."""

import logging.config
import os

from celery import Celery
from celery.signals import setup_logging
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsproject.settings")
# Django's checks load every page and the API, 10 MB that no worker or beat needs; `manage.py` runs
# them, where an operator reads what they say.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("opsproject")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect(weak=False)
def _log_as_django_does(**_: object) -> None:
    """Keep Celery from setting up its own logging; what tasks print is logged line by line."""
    logging.config.dictConfig(settings.LOGGING)
    app.log.redirect_stdouts()
