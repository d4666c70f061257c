"""Notes on periodic tasks what stock beat would: when each was last run, and how many times.

For those who look there, and for the way back to stock beat (docs/adoption.md); nothing of ours
reads it again. It follows the commit of the runs and is no part of it: a row that somebody is just
saving is left out, not waited for. No signal is sent and `date_changed` stays, so that it passes
for no edit, with stock beat or with us.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from django_celery_beat.models import PeriodicTask

from scheduling.models import Run


def note_when_committed(runs: Collection[Run], *, spent_jobs: Collection[int]) -> None:
    """Note the planned runs of one batch once the caller's transaction holds.

    `spent_jobs`: one-off ones, now disabled. Their count is 0 again, as stock beat leaves it: it
    would not run them when they are enabled anew.
    """
    if not runs:
        return
    known = {run.job.schedule_id: run.job.pk for run in runs if run.job and run.job.schedule_id}
    counts = Counter(run.job.schedule_id for run in runs if run.job)
    numbers = {pk: 0 if job in spent_jobs else counts[pk] for pk, job in known.items()}
    at = max(run.created_at for run in runs)
    # A database that fails now fails the next question too, which can be asked again.
    transaction.on_commit(partial(_note, numbers, at), robust=True)


def _note(numbers: Mapping[int, int], at: datetime) -> None:
    with transaction.atomic():
        for number, pks in _by_number(_free(numbers), numbers).items():
            total: Any = F("total_run_count") + number if number else 0
            rows = PeriodicTask.objects.filter(pk__in=pks)
            rows.update(last_run_at=at, total_run_count=total)


def _free(pks: Iterable[int]) -> list[int]:
    """Lock those rows that nobody else holds."""
    rows = PeriodicTask.objects.select_for_update(skip_locked=True).filter(pk__in=pks)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _by_number(pks: Iterable[int], numbers: Mapping[int, int]) -> dict[int, list[int]]:
    """Group rows by how many runs each had: mostly one, so that one statement writes all."""
    groups: dict[int, list[int]] = defaultdict(list)
    for pk in pks:
        groups[numbers[pk]].append(pk)
    return groups
