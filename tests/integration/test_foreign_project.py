"""A team takes us over step by step, in the Django project that it has (docs/adoption.md)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.foreign_project import ForeignProject
from tests.servers import Valkey, wait_for

SET_UP = """
from django.core.management import call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask
call_command("migrate", verbosity=0)
call_command("makemigrations", "scheduling", check_changes=True, dry_run=True)
every = IntervalSchedule.objects.create(every=1, period="seconds")
PeriodicTask.objects.create(name="note", task="theirs.tasks.note", interval=every, args='["%s"]')
"""
RUNS = """
import json
from django.contrib.auth.models import User
from django.test import Client
from django_celery_beat.models import PeriodicTask
from scheduling.models import Run
client = Client()
client.force_login(User.objects.get_or_create(username="a", is_staff=True, is_superuser=True)[0])
runs, row = Run.objects.filter(queue="celery"), PeriodicTask.objects.get()
print(json.dumps({
    "handed over": runs.filter(state="done", reason="handed_over", attempts=None).count(),
    "tracked": runs.filter(state="done", attempts__outcome="done").count(),
    "ticks": Run.objects.values("scheduled_for").distinct().count(),
    "runs": Run.objects.count(),
    "admin": client.get("/admin/scheduling/run/").status_code,
    "shown": row.total_run_count if row.last_run_at else 0,
}))
"""


@pytest.fixture
def theirs(
    tmp_path: Path, untouched_database_url: str, valkey_server: Valkey
) -> Iterator[ForeignProject]:
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    project = ForeignProject(
        tmp_path, database_url=untouched_database_url, broker_url=valkey_server.url
    )
    yield project
    project.stop()


def test_a_project_takes_us_over_with_plain_workers_first_and_tracked_ones_then(
    theirs: ForeignProject, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.touch()

    def ran() -> int:
        return len(notes.read_text().split())

    plain = theirs.worker("plain", settings="settings")
    theirs.query(SET_UP % notes)
    beats = [theirs.beat(), theirs.beat()]
    wait_for(lambda: ran() >= 3, seconds=60, what=f"three ticks are run, see {theirs.log}")
    for process in (*beats, plain):
        theirs.end(process)
    by_plain = ran()
    theirs.worker("tracked", settings="settings_of_beat")
    beat = theirs.beat()
    wait_for(lambda: ran() >= by_plain + 3, seconds=60, what=f"three more, see {theirs.log}")
    theirs.end(beat)

    counts: dict[str, int] = {}

    def all_is_told() -> bool:
        counts.update(json.loads(theirs.query(RUNS)))
        return counts["handed over"] + counts["tracked"] == ran()

    wait_for(all_is_told, seconds=20, what=f"the ledger has what was run, see {theirs.log}")
    assert counts["admin"] == 200
    assert counts["handed over"] >= 3
    assert counts["tracked"] >= 2  # the last one may have been handed over yet
    assert counts["ticks"] == counts["runs"] == counts["shown"]
