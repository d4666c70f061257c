"""Tables that are full are migrated without losing a row, and the engine goes on with them."""

import json
from pathlib import Path

from tests.elsewhere import platform_on, run_python
from tests.first_tables import NOT_RUN, OPEN

JOBS, ENDED = 20, 400  # of each job, a quarter in each of the final states
TICKS = ENDED + len(OPEN) + NOT_RUN
COUNT = """
import json
import django; django.setup()
from scheduling.models import Attempt, Job, Run, RunEvent
print(json.dumps({
    "jobs": Job.objects.count(), "attempts": Attempt.objects.count(),
    "events": RunEvent.objects.count(), "results": Run.objects.filter(result={"rows": 3}).count(),
    "runs": {state: Run.objects.filter(state=state).count() for state in %r},
}))
"""
STATES = ["done", "failed", "timeout", "cancelled", "pending", "ready", "queued", "running"]
TURN = """
import django; django.setup()
from datetime import timedelta
from opsproject.celery import app
from scheduling.clock import database_now
from scheduling.engine.adoption.adopt import Adoption
from scheduling.engine.candidates import claimable
from scheduling.engine.claim import claim_page
from scheduling.engine.plan import plan_due_jobs
from scheduling.engine.recover import take_from_lost_workers
from scheduling.engine.resolve import resolve_waiting
from scheduling.engine.liveness import Liveness
now = database_now() + timedelta(minutes=31)
Adoption(app, "real").follow(now=now, monotonic=0.0)
take_from_lost_workers("real", Liveness(loop_seconds=1.0), now=now, monotonic=0.0)
planned = plan_due_jobs("real", now=now)
resolve_waiting("real", now=now)
print(planned, len(claim_page(claimable("real", now=now), now=now)))
"""


def test_full_tables_of_the_first_release_are_migrated_and_worked_on(
    untouched_database_url: str, tmp_path: Path
) -> None:
    ours = platform_on(untouched_database_url, tmp_path)
    run_python("manage.py", "migrate", "scheduling", "0001", "--verbosity", "0", **ours)
    run_python("-m", "tests.first_tables", str(JOBS), str(TICKS), **ours)

    run_python("manage.py", "migrate", "--verbosity", "0", **ours)

    kept = json.loads(run_python("-c", COUNT % STATES, **ours))
    assert kept["jobs"] == JOBS
    assert sum(kept["runs"].values()) == JOBS * (ENDED + len(OPEN))
    assert kept["attempts"] == kept["events"] == JOBS * (ENDED + 1)
    assert kept["results"] == kept["runs"]["done"] == JOBS * ENDED // 4
    planned, claimed = map(int, run_python("-c", TURN, **ours).split())
    assert planned == JOBS
    assert claimed > 0
    ledger = json.loads(run_python("manage.py", "ledger", "--check", "--json", **ours))
    assert ledger["closes"]
    assert (ledger["planned"], ledger["open"]) == (JOBS * TICKS, JOBS * len(OPEN))
