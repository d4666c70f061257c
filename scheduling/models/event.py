"""Events: numbered, append-only rows about runs, for whoever must be told."""

from django.db import models

from scheduling.models.run import Run


class EventKind(models.TextChoices):
    """What a run event can say (SPEC B8)."""

    STARTED = "job_started"
    COMPLETED = "job_completed"
    FAILED = "job_failed"
    TIMEOUT = "job_timeout"
    RETRYING = "job_retrying"
    CANCELLED = "job_cancelled"


class RunEvent(models.Model):
    """What happened to a run.

    `seq` is given after the commit, so that no reader misses a row that committed late.
    """

    seq = models.PositiveBigIntegerField(null=True, unique=True)
    scope = models.SlugField(max_length=32)
    kind = models.CharField(max_length=16, choices=EventKind.choices)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    attempt = models.PositiveIntegerField()
    at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["id"], name="event_unnumbered", condition=models.Q(seq=None))
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.run_id}"
