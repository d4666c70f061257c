"""Tallies: how many runs of an office ended how, kept up behind the events (SPEC C2)."""

from django.db import models

from scheduling.models.office import Office


class EventCursor(models.Model):
    """Up to which event a reader has read; each has its own (DESIGN rule 12)."""

    name = models.CharField(max_length=64, primary_key=True)
    seq = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} at {self.seq}"


class OfficeTally(models.Model):
    """What a scope's office, or its default one (none is named), has behind it.

    All that ever ended there, also what history no longer has; the cursor of the scope says up to
    which event.
    """

    scope = models.SlugField(max_length=32)
    office = models.ForeignKey(Office, null=True, on_delete=models.CASCADE, db_index=False)
    done = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    timeout = models.PositiveBigIntegerField(default=0)
    cancelled = models.PositiveBigIntegerField(default=0)
    timed = models.PositiveBigIntegerField(
        default=0, help_text="Done, and it is known how long that took."
    )
    done_seconds = models.FloatField(default=0.0, help_text="Of these, from start to end.")

    class Meta:
        verbose_name_plural = "office tallies"
        constraints = [
            models.UniqueConstraint(fields=["scope", "office"], name="tally_once_per_office"),
            models.UniqueConstraint(
                fields=["scope"],
                condition=models.Q(office=None),
                name="tally_once_per_default_office",
            ),
        ]

    def __str__(self) -> str:
        return f"tally of {self.office or f'{self.scope}:default'}"
