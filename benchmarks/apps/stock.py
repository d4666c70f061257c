"""django-celery-beat with its own scheduler, as its documentation sets it up."""

import os

import django
from celery import Celery

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.apps.stock_settings"
django.setup()

app = Celery("stock", broker=os.environ["CELERY_BROKER_URL"])
app.conf.task_ignore_result = True
app.conf.beat_scheduler = "django_celery_beat.schedulers:DatabaseScheduler"
