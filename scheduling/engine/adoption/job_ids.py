"""The job id of a periodic task that somebody else named."""

import re
from collections.abc import Iterator, Sequence

from django_celery_beat.models import PeriodicTask

from scheduling.models import Job

LONGEST = 180  # with room for a row's number


def wanted_id(row: PeriodicTask) -> str:
    """Return the row's name in the letters of a job id."""
    name = re.sub(r"[^A-Za-z0-9_.:-]+", "-", row.name).strip("-_.:")[:LONGEST]
    return name or f"periodic-task-{row.pk}"


def with_free_ids(rows: Sequence[PeriodicTask], scope: str) -> Iterator[tuple[PeriodicTask, str]]:
    """Yield each row with a job id that nobody has: its name, with its number if that is taken."""
    jobs = Job.objects.filter(scope=scope)
    wanted = {wanted_id(row) for row in rows}
    taken = set(jobs.filter(job_id__in=wanted).values_list("job_id", flat=True))
    for row in rows:
        job_id = wanted_id(row)
        while job_id in taken or (job_id not in wanted and jobs.filter(job_id=job_id).exists()):
            job_id = f"{job_id}-{row.pk}"
        taken.add(job_id)
        yield row, job_id
