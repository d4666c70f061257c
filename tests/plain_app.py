"""Somebody else's Celery application: it knows no Django, and nothing of the platform."""

import os
from pathlib import Path

from celery import Celery

app = Celery("plain", broker=os.environ["CELERY_BROKER_URL"])
app.conf.broker_connection_retry_on_startup = True


@app.task(name="plain.note")
def note(path: str) -> None:
    """Append one line."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("ran\n")
