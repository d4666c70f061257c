"""The Celery application, for `celery -A opsproject worker|beat|flower`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsproject.settings")

app = Celery("opsproject")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
