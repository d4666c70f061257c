"""Work that is submitted to an office: what it says, and whether it can be taken."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from scheduling.dependencies import find_cycle
from scheduling.errors import DependencyCycle, InvalidJob
from scheduling.models import Office
from scheduling.recurrence.interval import LONGEST
from scheduling.storable import require_storable

MOST_RUNS = 10_000  # of one submission
MOST_DEPENDENCIES = 100_000
LONGEST_TEXT, LONGEST_ROLE = 200, 64
LARGEST_PRIORITY = 1_000_000_000
MOST_RETRIES = 1_000
# How the names of its tasks begin.
PLATFORMS_OWN = ("scheduling.", "maintenance.", "monitoring.", "opsproject.", "celery.", "ops.")


@dataclass(frozen=True, kw_only=True)
class Work:
    """One run to be; what is left out the role or the office decides.

    `depends_on` names others of the submission by their key, or earlier runs of the office by id.
    """

    key: str
    task: str
    params: dict[str, Any] = field(default_factory=dict)
    depends_on: Sequence[str] = ()
    priority: int = 0
    role: str = ""
    assignee: str = ""
    queue: str = ""
    timeout: timedelta | None = None
    max_retries: int | None = None


def check_works(works: Sequence[Work]) -> None:
    """Raise InvalidJob, naming the work and the field, or DependencyCycle."""
    if not 1 <= len(works) <= MOST_RUNS:
        raise InvalidJob("jobs", f"has {len(works)} entries: give 1 to {MOST_RUNS:,}")
    if sum(len(work.depends_on) for work in works) > MOST_DEPENDENCIES:
        raise InvalidJob("jobs", f"has more than {MOST_DEPENDENCIES:,} dependencies: give fewer")
    seen: set[str] = set()
    for number, work in enumerate(works):
        _check_work(f"jobs.{number}", work)
        if work.key in seen:
            raise InvalidJob(f"jobs.{number}.id", f"{work.key!r} is there twice")
        seen.add(work.key)
    if ring := find_cycle({work.key: work.depends_on for work in works}):
        raise DependencyCycle(ring)


def require_confined(office: Office, works: Sequence[Work]) -> None:
    """Raise InvalidJob for what whoever is let into one office only may not have done there.

    Workers know all tasks, and other queues are others': he is kept to the office's own queue, and
    from the platform's own tasks.
    """
    for number, work in enumerate(works):
        if work.queue and work.queue not in {office.queue, office.queue.partition(".")[2]}:
            raise InvalidJob(
                f"jobs.{number}.queue",
                f"{work.queue!r} is not this office's: a token for one office leaves it out",
            )
        if work.task.startswith(PLATFORMS_OWN):
            raise InvalidJob(
                f"jobs.{number}.task",
                f"{work.task!r} is the platform's own, which a token for one office may not run",
            )


def digest_of(works: Sequence[Work]) -> str:
    """Return the SHA-256 of what the works say, to know a repeated request by."""
    names = [one.name for one in fields(Work)]
    said = [[getattr(work, name) for name in names] for work in works]
    text = json.dumps(said, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _check_work(place: str, work: Work) -> None:
    texts = {
        "id": work.key,
        "task": work.task,
        "role": work.role,
        "assignee": work.assignee,
        "queue": work.queue,
    }
    for name, text in texts.items():
        if name in {"id", "task"} and not text.strip():
            raise InvalidJob(f"{place}.{name}", "is empty")
        require_storable(f"{place}.{name}", text)
        longest = LONGEST_ROLE if name == "role" else LONGEST_TEXT
        if len(text) > longest:
            raise InvalidJob(f"{place}.{name}", f"is longer than {longest} characters")
    require_storable(f"{place}.params", work.params)
    if abs(work.priority) > LARGEST_PRIORITY:
        raise InvalidJob(f"{place}.priority", f"give at most ±{LARGEST_PRIORITY:,}")
    if work.timeout is not None and not timedelta(seconds=1) <= work.timeout <= LONGEST:
        raise InvalidJob(f"{place}.timeout", "give 1 second to 100 years")
    if work.max_retries is not None and not 0 <= work.max_retries <= MOST_RETRIES:
        raise InvalidJob(f"{place}.max_retries", f"give 0 to {MOST_RETRIES:,}")
