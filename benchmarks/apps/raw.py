"""Celery as it comes: no results, no ledger, messages acknowledged before they run."""

import os

from celery import Celery

from benchmarks.apps.marks import add_tasks

app = Celery("raw", broker=os.environ["CELERY_BROKER_URL"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True
add_tasks(app)
