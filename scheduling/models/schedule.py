"""The account of a schedule: which recurrence held when, and which ticks ended without a run."""

from django.db import models
from django.db.models import F, Q

from scheduling.models.job import Job
from scheduling.recurrence import Recurrence, RecurrenceError, from_spec
from scheduling.states import SkipReason


class ScheduleEpoch(models.Model):
    """A stretch of time in which a job had one recurrence: (from_at, to_at], immutable once closed.

    planned(window) is the sum of the recurrence over the epochs (DESIGN rule 11). A job that is
    disabled has no open epoch; a paused one has.
    """

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="epochs")
    kind = models.CharField(max_length=12)
    spec = models.JSONField()
    from_at = models.DateTimeField(help_text="Exclusive: the first tick lies after it.")
    to_at = models.DateTimeField(null=True, help_text="Inclusive; empty: still open.")
    ends_at = models.DateTimeField(null=True, help_text="No tick after this, whatever happens.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job"], condition=Q(to_at=None), name="epoch_one_open_per_job"
            ),
            models.CheckConstraint(
                condition=Q(to_at=None) | Q(to_at__gte=F("from_at")),
                name="epoch_to_not_before_from",
            ),
        ]
        indexes = [models.Index(fields=["job", "from_at"], name="epoch_by_job")]

    def __str__(self) -> str:
        return f"{self.job} {self.kind} from {self.from_at:%Y-%m-%d %H:%M:%S}"

    def recurrence(self) -> Recurrence:
        """Return the rule that held in this epoch; raise RecurrenceError for a corrupted row."""
        return from_spec(self.kind, self.spec)

    def in_words(self) -> str:
        """Return the rule in words, or why it cannot be read."""
        try:
            return self.recurrence().in_words()
        except RecurrenceError as error:
            return f"cannot be read: {error}"


class SkippedTicks(models.Model):
    """A stretch (after, until] of one epoch whose `count` ticks all ended with the same reason."""

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="skipped_ticks")
    epoch = models.ForeignKey(ScheduleEpoch, on_delete=models.PROTECT, related_name="skipped_ticks")
    reason = models.CharField(max_length=20, choices=[(r, r.value) for r in SkipReason])
    after = models.DateTimeField(help_text="Exclusive.")
    until = models.DateTimeField(help_text="Inclusive.")
    count = models.PositiveBigIntegerField()

    class Meta:
        verbose_name_plural = "skipped ticks"
        constraints = [
            models.CheckConstraint(
                condition=Q(until__gt=F("after")), name="skipped_ticks_until_after_after"
            ),
            models.CheckConstraint(condition=Q(count__gte=1), name="skipped_ticks_not_empty"),
        ]
        indexes = [models.Index(fields=["job", "until"], name="skipped_ticks_by_job")]

    def __str__(self) -> str:
        return f"{self.job}: {self.count} × {self.reason}"


class LedgerTotal(models.Model):
    """How many ticks of one job and one UTC day had a verdict; written when the rows are pruned."""

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="totals")
    day = models.DateField()
    verdict = models.CharField(max_length=40, help_text="A final state, or skipped:<reason>.")
    count = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "day", "verdict"], name="ledger_total_unique"),
            models.CheckConstraint(condition=Q(count__gte=1), name="ledger_total_not_empty"),
        ]

    def __str__(self) -> str:
        return f"{self.job} {self.day}: {self.count} × {self.verdict}"
