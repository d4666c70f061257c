"""A database that stock django-celery-beat made is taken over, and its tasks fire as before."""

import json
from datetime import datetime, timedelta
from pathlib import Path

from tests.elsewhere import platform_on, run_python

ROWS = 5_000

TAKE_OVER = """
import json, sys, time
import django; django.setup()
from opsproject.celery import app
from scheduling.clock import database_now
from scheduling.engine.adoption.adopt import Adoption
from scheduling.models import Job
adoption, started = Adoption(app, "real"), time.monotonic()
while True:
    adoption.follow(now=database_now(), monotonic=time.monotonic())
    if not adoption.behind:
        break
took = time.monotonic() - started
jobs = Job.objects.values_list("schedule__name", "next_due_at", "schedule_error")
print(json.dumps([[name, due and due.isoformat(), error] for name, due, error in jobs]))
print(f"adopted in {took:.1f} s", file=sys.stderr)
"""


def test_thousands_of_stock_tasks_fall_due_when_they_did_before(
    untouched_database_url: str, tmp_path: Path
) -> None:
    expected = json.loads(run_python("-m", "tests.stock_beat", untouched_database_url, str(ROWS)))
    ours = platform_on(untouched_database_url, tmp_path)
    run_python("manage.py", "migrate", "--verbosity", "0", **ours)
    jobs = json.loads(run_python("-c", TAKE_OVER, **ours))
    assert len(jobs) == ROWS
    assert [error for _, _, error in jobs if error] == []
    due = {name: datetime.fromisoformat(at) for name, at, _ in jobs}
    assert len(expected) > ROWS * 0.8
    late = {
        name: (at, due[name].isoformat())
        for name, at in expected.items()
        if abs(due[name] - datetime.fromisoformat(at)) > timedelta(seconds=2)
    }
    assert late == {}
