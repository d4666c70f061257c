"""A pause of a job: its ticks are skipped while it lasts."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from scheduling.models.job import Job


class PauseQuerySet(models.QuerySet["Pause"]):
    """Chainable facts about pauses."""

    def active(self) -> "PauseQuerySet":
        """Pauses that are in force; one whose time is over is ended by the beat."""
        return self.filter(ended_at=None)

    def over(self, now: datetime) -> "PauseQuerySet":
        """Pauses that end by themselves now."""
        return self.active().filter(until_at__lte=now)


class Pause(models.Model):
    """Who paused a job, why, and until when; the row stays when the pause is over."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="pauses")
    paused_by = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    from_at = models.DateTimeField()
    until_at = models.DateTimeField(null=True, blank=True, help_text="Empty: until resumed.")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=200, blank=True)

    objects: ClassVar[models.Manager["Pause"]] = PauseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job"], condition=Q(ended_at=None), name="pause_one_active_per_job"
            ),
            models.CheckConstraint(
                condition=Q(until_at=None) | Q(until_at__gt=F("from_at")),
                name="pause_until_after_from",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job} paused by {self.paused_by}"
