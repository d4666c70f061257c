"""Takes away submissions that were never finished: nothing of them was ever started (SPEC B1)."""

import logging
from datetime import datetime, timedelta

from scheduling.models import Run, RunDependency, Submission

logger = logging.getLogger(__name__)

LONGEST_BUILD = timedelta(minutes=10)
AT_ONCE = 500


def take_away_unbuilt(scope: str, *, now: datetime) -> int:
    """Take away what whoever submitted it left half written; return how many submissions."""
    left = Submission.objects.filter(
        office__scope=scope, built_at=None, created_at__lt=now - LONGEST_BUILD
    )
    submissions = list(left[:1])
    for submission in submissions:
        logger.warning("submission_unfinished", extra={"submission": str(submission.pk)})
        take_away(submission)
    return len(submissions)


def take_away(submission: Submission) -> None:
    """Delete a submission that is not built, in short transactions."""
    runs = Run.objects.filter(submission=submission, submission__built_at=None)
    while some := list(runs.values_list("id", flat=True)[:AT_ONCE]):
        RunDependency.objects.filter(run__in=some).delete()
        RunDependency.objects.filter(depends_on__in=some).delete()
        Run.objects.filter(id__in=some).only("id").delete()
    Submission.objects.filter(pk=submission.pk, built_at=None).delete()
