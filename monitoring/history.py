"""The newest verdicts of jobs, read out of the ledger at a cost that does not grow with it."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery

from scheduling.models import Job, Run, SkippedTicks
from scheduling.states import RunState

JOBS_PER_QUERY = 100  # an OR of this many index ranges is what SQLite's planner still likes
RUN_FIELDS = (
    *("id", "job_id", "state", "reason", "attempt", "error_code"),
    *("scheduled_for", "created_at", "started_at", "finished_at"),
)


class Tone(StrEnum):
    """How a verdict is painted."""

    GOOD = "good"
    BAD = "bad"
    NEUTRAL = "neutral"


TONES = {
    RunState.DONE: Tone.GOOD,
    RunState.FAILED: Tone.BAD,
    RunState.TIMEOUT: Tone.BAD,
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a tick ended, or a stretch of `count` ticks that ended alike."""

    at: datetime
    outcome: str
    reason: str = ""
    run_id: UUID | None = None
    count: int = 1
    duration_seconds: float | None = None
    lateness_seconds: float | None = None

    @property
    def tone(self) -> Tone:
        """Say how it is painted: done is good, failed and timeout are bad."""
        return TONES.get(RunState(self.outcome), Tone.NEUTRAL)


def newest_verdicts(job_pks: Collection[int], *, limit: int) -> dict[int, list[Verdict]]:
    """Return up to `limit` verdicts per job primary key, the newest last."""
    verdicts: defaultdict[int, list[Verdict]] = defaultdict(list)
    finished = Run.objects.filter(finished_at__isnull=False).only(*RUN_FIELDS)
    for run in _newest(finished, job_pks, by="finished_at", limit=limit):
        verdicts[run.job_id].append(_of_run(run))
    for span in _newest(SkippedTicks.objects.all(), job_pks, by="until", limit=limit):
        verdicts[span.job_id].append(_of_span(span))
    return {
        job_pk: sorted(found, key=lambda verdict: verdict.at)[-limit:]
        for job_pk, found in verdicts.items()
    }


def _newest(rows: QuerySet[Any], job_pks: Collection[int], *, by: str, limit: int) -> Iterator[Any]:
    """Give the newest rows of each job: find where its `limit`-th stands, take all from there."""
    for chunk in _chunks(sorted(job_pks)):
        of_job = rows.filter(job=OuterRef("pk")).order_by(f"-{by}")
        edges = Job.objects.filter(pk__in=chunk).values_list(
            "pk", Subquery(of_job.values(by)[limit - 1 : limit])
        )
        wanted = Q(pk__in=[])
        for job_pk, edge in edges:
            wanted |= Q(job=job_pk) if edge is None else Q(job=job_pk, **{f"{by}__gte": edge})
        yield from rows.filter(wanted)


def _chunks(job_pks: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(job_pks), JOBS_PER_QUERY):
        yield job_pks[start : start + JOBS_PER_QUERY]


def _of_run(run: Run) -> Verdict:
    return Verdict(
        at=run.scheduled_for or run.created_at,
        outcome=run.state,
        reason=run.reason or run.error_code,
        run_id=run.pk,
        duration_seconds=_seconds(run.started_at, run.finished_at),
        # A later attempt's start says nothing about how punctual the scheduler was.
        lateness_seconds=_seconds(run.scheduled_for, run.started_at) if run.attempt == 1 else None,
    )


def _of_span(span: SkippedTicks) -> Verdict:
    return Verdict(at=span.until, outcome=RunState.SKIPPED, reason=span.reason, count=span.count)


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    if begin is None or end is None:
        return None
    return round(max(0.0, (end - begin).total_seconds()), 6)
