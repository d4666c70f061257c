"""A worker process as the database knows it: what it serves and whether it is alive."""

from typing import ClassVar

from django.db import models
from uuid_utils.compat import uuid7


class WorkerProcessQuerySet(models.QuerySet["WorkerProcess"]):
    """Chainable facts about worker processes."""

    def live(self) -> "WorkerProcessQuerySet":
        """Workers that neither said goodbye nor were found lost."""
        return self.filter(stopped_at=None, lost_at=None)


class WorkerProcess(models.Model):
    """One life of one worker. Liveness is `beat_no` going up, never a clock (DESIGN rule 9)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scope = models.SlugField(max_length=32)
    hostname = models.CharField(max_length=255, help_text="Celery's node name.")
    host = models.CharField(
        max_length=120,
        blank=True,
        help_text="Boot id and pid namespace: where its pids mean anything.",
    )
    pid = models.PositiveIntegerField()
    pool = models.CharField(max_length=40)
    concurrency = models.PositiveIntegerField()
    can_stop = models.BooleanField(help_text="Whether it can stop a run for certain (prefork).")
    queues = models.JSONField(default=list)
    follows_queues = models.BooleanField(
        default=False,
        help_text="Started without -Q: it serves every queue of jobs whose task it knows.",
    )
    reserved = models.JSONField(
        default=dict, help_text="Per queue: messages it holds and has not started."
    )
    processes = models.JSONField(
        default=list,
        help_text="Itself, then its pool processes: [pid, start in clock ticks since the boot].",
    )
    beat_no = models.PositiveBigIntegerField(default=0)
    started_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)
    lost_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager["WorkerProcess"]] = WorkerProcessQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "worker processes"
        indexes = [
            models.Index(
                fields=["scope"],
                name="worker_live",
                condition=models.Q(stopped_at=None, lost_at=None),
            )
        ]

    def __str__(self) -> str:
        return f"{self.hostname} (pid {self.pid})"
