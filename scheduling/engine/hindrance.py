"""What keeps a job from running what falls due: a pause, an open breaker (SPEC A11, A13)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from scheduling.models import Job, JobStatus, Pause, Run
from scheduling.models.job import MisfirePolicy
from scheduling.states import SkipReason


@dataclass(frozen=True)
class Hindrances:
    """How some jobs stand, read in two queries."""

    paused: set[int]
    tripped: dict[int, datetime]

    @classmethod
    def of(cls, job_ids: Collection[int]) -> "Hindrances":
        """Read how these jobs stand."""
        tripped = JobStatus.objects.filter(job_id__in=job_ids, tripped_at__isnull=False)
        active = Pause.objects.active().filter(job_id__in=job_ids)
        return cls(
            paused=set(active.values_list("job_id", flat=True)),
            tripped={
                job_id: at for job_id, at in tripped.values_list("job_id", "tripped_at") if at
            },
        )

    def stopped(self, job: Job, *, now: datetime) -> SkipReason | None:
        """Return why nothing of the job may start now; None if something may."""
        if job.pk in self.paused:
            return SkipReason.PAUSED
        cooled_at = self.cooled_at(job)
        return SkipReason.BREAKER_OPEN if cooled_at is not None and now < cooled_at else None

    def cooled_at(self, job: Job) -> datetime | None:
        """Until when the job's breaker lets nothing through; then comes the trial."""
        tripped_at = self.tripped.get(job.pk)
        return None if tripped_at is None else tripped_at + job.breaker_cooldown

    def reason_to_skip(self, link: Run, *, now: datetime) -> SkipReason | None:
        """Return why a due link, read with its job, may not start; None if it may."""
        job = link.job
        if job is None:
            raise ValueError(f"run {link.pk} is no link of a chain: it has no job")
        missed = now - (link.not_before or now) > job.misfire_grace
        late = SkipReason.MISSED if missed and job.misfire == MisfirePolicy.SKIP else None
        return self.stopped(job, now=now) or late
