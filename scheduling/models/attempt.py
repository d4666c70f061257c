"""An attempt: one try of a run."""

from django.db import models
from django.db.models import Q

from scheduling.models.run import Run
from scheduling.models.worker import WorkerProcess
from scheduling.states import Outcome


class Attempt(models.Model):
    """One try of a run on a worker; the id is the Celery task id."""

    id = models.UUIDField(primary_key=True, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    worker = models.ForeignKey(WorkerProcess, null=True, on_delete=models.SET_NULL)
    reporter = models.CharField(
        max_length=200, blank=True, help_text="The foreign worker that started it, as it says."
    )
    renewals = models.PositiveIntegerField(
        default=0, help_text="Signs of life of the foreign worker that runs it."
    )
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=12, blank=True, choices=[(o, o.value) for o in Outcome])
    error = models.TextField(blank=True)
    error_code = models.CharField(max_length=200, blank=True)
    stop_for = models.CharField(
        max_length=12,
        blank=True,
        choices=[(o, o.value) for o in (Outcome.CANCELLED, Outcome.TIMEOUT)],
        help_text="How the run ends once the process is gone.",
    )
    stop_requested_at = models.DateTimeField(null=True)
    stop_delivered_at = models.DateTimeField(null=True, help_text="Its worker has signalled it.")
    gone_at = models.DateTimeField(null=True, help_text="Its worker saw the process end.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="attempt_number_unique_in_run"),
            models.CheckConstraint(
                condition=Q(finished_at=None, outcome="")
                | (Q(finished_at__isnull=False) & ~Q(outcome="")),
                name="attempt_finished_has_outcome",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.run_id}"
