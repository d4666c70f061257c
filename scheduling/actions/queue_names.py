"""Names of queues: each scope has its own, which begin with its name (SPEC, Words)."""

from scheduling.errors import InvalidJob
from scheduling.models import Job


def queue_in_scope(queue: str, scope: str) -> str:
    """Return the queue with its scope in front; raise InvalidJob for one of another scope."""
    head, dot, _ = queue.partition(".")
    if dot and head != scope and head in known_scopes():
        raise InvalidJob("queue", f"{queue!r} belongs to scope {head!r}, not {scope!r}")
    return queue if dot and head == scope else f"{scope}.{queue}"


def known_scopes() -> set[str]:
    """Return the two scopes that everybody has, and those that have jobs."""
    return {"real", "mock", *Job.objects.values_list("scope", flat=True).distinct()}
