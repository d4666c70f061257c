"""Puts runs into the ledger and their messages on the broker, as the engine itself does."""

from benchmarks.apps import NOOP, OUR_QUEUE
from benchmarks.apps.ours import app
from scheduling.clock import database_now
from scheduling.engine.candidates import claimable
from scheduling.engine.claim import claim_page
from scheduling.engine.new_run import new_run
from scheduling.engine.publishing.publish import Publisher
from scheduling.models import Job, JobStatus
from scheduling.states import Trigger
from scheduling.transitions import open_runs


def run(runs: int, task: str = NOOP) -> int:
    """Open, claim and publish so many runs of one job; return how many messages went."""
    now = database_now()
    job = Job.objects.create(
        scope="real", job_id="noop", task=task, queue=OUR_QUEUE, max_parallel=runs
    )
    JobStatus.objects.create(job=job)
    open_runs([new_run(job, trigger=Trigger.MANUAL, now=now) for _ in range(runs)])
    publisher, published = Publisher(app), 0
    while claimed := claim_page(claimable("real", now=now), now=now):
        published += publisher.publish(claimed, now=now)
    return published
