"""Celery with django-celery-results: the usual way to keep what became of a task."""

import os

import django
from celery import Celery

from benchmarks.apps.marks import add_tasks

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.apps.results_settings"
django.setup()

app = Celery("results", broker=os.environ["CELERY_BROKER_URL"], backend="django-db")
app.conf.broker_connection_retry_on_startup = True
add_tasks(app)
