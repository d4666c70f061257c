"""Names of queues: each scope has its own, which begin with its name (SPEC, Words)."""

from collections.abc import Iterable

from scheduling.errors import InvalidJob
from scheduling.models import Job
from scheduling.queues import FOREIGN_TASK

LONGEST_QUEUE = 200


def queue_in_scope(queue: str, scope: str) -> str:
    """Return the queue with its scope in front; raise InvalidJob for one of another scope."""
    head, dot, _ = queue.partition(".")
    if dot and head != scope and head in known_scopes():
        raise InvalidJob("queue", f"{queue!r} belongs to scope {head!r}, not {scope!r}")
    whole = queue if dot and head == scope else f"{scope}.{queue}"
    if len(whole) > LONGEST_QUEUE:
        raise InvalidJob("queue", f"{whole!r} is longer than {LONGEST_QUEUE} characters")
    return whole


def require_own_kind(job: Job) -> None:
    """Raise InvalidJob where its queue has the messages of the other kind of workers.

    A Celery worker throws away what is no Celery message, and a foreign one reads nothing else.
    """
    if not (job.is_foreign or Job.objects.foreign().filter(queue=job.queue).exists()):
        return
    beside = Job.objects.in_scope(job.scope).filter(queue=job.queue).exclude(pk=job.pk)
    others = beside.exclude(task=FOREIGN_TASK) if job.is_foreign else beside.foreign()
    if other := others.first():
        kinds = ("Celery", "foreign") if job.is_foreign else ("foreign", "Celery")
        raise InvalidJob(
            "queue",
            f"{job.queue!r} has the messages of job {other.job_id!r} for {kinds[0]} workers: "
            f"choose another for those of {kinds[1]} ones",
        )


def require_celery_queues(queues: Iterable[str]) -> None:
    """Raise InvalidJob for a queue that has foreign workers, who drop Celery's messages."""
    jobs = Job.objects.foreign().filter(queue__in=set(queues))
    if job := jobs.order_by("id").first():
        raise InvalidJob(
            "queue",
            f"{job.queue!r} has the messages of job {job.job_id!r} for foreign workers: "
            "choose another",
        )


def known_scopes() -> set[str]:
    """Return the two scopes that everybody has, and those that have jobs."""
    return {"real", "mock", *Job.objects.values_list("scope", flat=True).distinct()}
