"""The standing `dashboard_update` job: the figures that the status page shows."""

from collections import Counter
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, TypedDict

from django.conf import settings
from django.db.models import Count, Sum
from django.utils import timezone

from monitoring.history import Verdict, newest_verdicts
from monitoring.models import DashboardSnapshot
from monitoring.percentile import average, nearest_rank
from monitoring.probes.measure import measure
from scheduling.models import Job, Run, SkippedTicks
from scheduling.states import RunState

WINDOW = timedelta(hours=24)
SAMPLE = 100  # newest verdicts that durations are taken from
MOST_JOBS = 500  # those due soonest; the snapshot stays a page, not a data dump


class JobFigures(TypedDict):
    """How one job's newest `sample` runs went; seconds, None where there is nothing to tell."""

    sample: int
    duration_average: float | None
    duration_p95: float | None
    lateness_average: float | None
    lateness_p95: float | None


def update_snapshot() -> dict[str, Any]:
    """Store the scope's DashboardSnapshot; return its totals.

    Shape of the data: `{"window_hours", "runs": {state: n}, "skipped": {reason: n},
    "success_rate": 0..1 or None, "jobs": {job_id: JobFigures}, "jobs_left_out": n,
    "probes": [see Measurement]}`. The success rate counts what ran to an end by itself: done of
    done, failed and timeout; with none of them it is None, never 0.
    """
    scope, now = settings.SCHEDULER_SCOPE, timezone.now()
    totals = _totals(scope, since=now - WINDOW)
    jobs, left_out = _jobs(scope)
    data = {
        "window_hours": WINDOW / timedelta(hours=1),
        **totals,
        "jobs": jobs,
        "jobs_left_out": left_out,
        "probes": [asdict(measurement) for measurement in measure()],
    }
    DashboardSnapshot.objects.update_or_create(
        scope=scope, defaults={"computed_at": now, "data": data}
    )
    return totals


def _totals(scope: str, *, since: datetime) -> dict[str, Any]:
    """Count what ended since then; a skipped stretch counts where it ends."""
    runs: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    ended = Run.objects.filter(scope=scope, finished_at__gte=since).values_list("state", "reason")
    for state, reason, count in ended.annotate(count=Count("id")).order_by():
        if state == RunState.SKIPPED:
            skipped[reason] += count
        else:
            runs[state] += count
    spans = SkippedTicks.objects.filter(job__scope=scope, until__gte=since).values_list("reason")
    for reason, count in spans.annotate(count=Sum("count")).order_by():
        skipped[reason] += count
    return {"runs": dict(runs), "skipped": dict(skipped), "success_rate": _success_rate(runs)}


def _success_rate(runs: Counter[str]) -> float | None:
    judged = sum(runs[state] for state in (RunState.DONE, RunState.FAILED, RunState.TIMEOUT))
    return round(runs[RunState.DONE] / judged, 4) if judged else None


def _jobs(scope: str) -> tuple[dict[str, JobFigures], int]:
    """Return the figures by job id, and how many jobs found no place."""
    jobs = Job.objects.filter(scope=scope, deleted_at=None)
    shown = list(jobs.order_by("next_due_at", "job_id")[:MOST_JOBS])
    verdicts = newest_verdicts([job.pk for job in shown], limit=SAMPLE)
    figures = {job.job_id: _figures(verdicts.get(job.pk, [])) for job in shown}
    return figures, jobs.count() - len(shown)


def _figures(verdicts: list[Verdict]) -> JobFigures:
    took = [each.duration_seconds for each in verdicts if each.duration_seconds is not None]
    late = [each.lateness_seconds for each in verdicts if each.lateness_seconds is not None]
    return {
        "sample": len(took),
        "duration_average": average(took),
        "duration_p95": nearest_rank(took, 0.95),
        "lateness_average": average(late),
        "lateness_p95": nearest_rank(late, 0.95),
    }
