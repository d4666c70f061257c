"""What may stand in fields that several tables have."""

from datetime import timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from scheduling.recurrence.interval import LONGEST

NOT_NEGATIVE = MinValueValidator(timedelta(0))
A_SECOND = MinValueValidator(timedelta(seconds=1))
# Longer ones, added to the present, leave the calendar.
A_LIFETIME = MaxValueValidator(LONGEST, "Give at most 100 years.")
# django-celery-beat keeps it in 4 bytes, in seconds.
AS_LONG_AS_A_ROW_SAYS = MaxValueValidator(timedelta(days=24_855), "Give at most 68 years.")


class BackoffKind(models.TextChoices):
    """How the wait grows from one retry to the next."""

    EXPONENTIAL = "exponential", "exponential"
    LINEAR = "linear", "linear"
