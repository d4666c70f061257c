"""Notices: what an operator is told once, however much of a submission falls with it (SPEC B5)."""

from django.db import models
from django.db.models import Q

from scheduling.models.office import Office, Submission
from scheduling.models.run import Run


class Notice(models.Model):
    """A run of a submission has failed, or timed out, for good; what waited for it fell with it.

    Closed once somebody retries; then the next failure is told again.
    """

    scope = models.SlugField(max_length=32)
    office = models.ForeignKey(
        Office, null=True, on_delete=models.CASCADE, related_name="notices", db_index=False
    )
    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="notices")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="notices")
    text = models.TextField()
    at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["submission"],
                condition=Q(closed_at=None),
                name="notice_one_open_per_submission",
            )
        ]
        indexes = [models.Index(fields=["office", "-id"], name="notice_by_office")]

    def __str__(self) -> str:
        return f"notice of {self.submission}: {self.text[:80]}"
