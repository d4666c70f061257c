"""Webhooks: who elsewhere is told of events, and what became of telling him (SPEC B8)."""

from typing import ClassVar
from urllib.parse import urlsplit

from django.db import models
from django.db.models import Q

from scheduling.models.office import Office


class WebhookQuerySet(models.QuerySet["Webhook"]):
    """Chainable facts about webhooks."""

    def in_scope(self, scope: str) -> "WebhookQuerySet":
        """Webhooks of one scope."""
        return self.filter(scope=scope)


class Webhook(models.Model):
    """An address that gets the events of a scope, or of one office, signed with a secret."""

    scope = models.SlugField(max_length=32)
    office = models.ForeignKey(
        Office, null=True, on_delete=models.CASCADE, help_text="Empty: every office."
    )
    url = models.URLField(max_length=500)
    secret = models.CharField(max_length=64)
    events = models.JSONField(default=list, help_text="Kinds of events; empty: all.")
    enabled = models.BooleanField(default=True)
    told_until = models.PositiveBigIntegerField(
        default=0, help_text="Number of the last event that was looked at for it."
    )
    created_at = models.DateTimeField()

    objects: ClassVar[models.Manager["Webhook"]] = WebhookQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "url", "office"], name="webhook_once_per_address"
            ),
            models.UniqueConstraint(
                fields=["scope", "url"],
                condition=Q(office=None),
                name="webhook_of_all_once_per_address",
            ),
        ]

    def __str__(self) -> str:
        return f"webhook {self.pk} to {self.place}"

    @property
    def place(self) -> str:
        """Where it goes, without what may be a secret: many a service knows its callers by path."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}/…"


class DeliveryState(models.TextChoices):
    """How far a delivery has come."""

    WAITING = "waiting", "waiting for its next try"
    DELIVERED = "delivered", "taken"
    FAILED = "failed", "given up"


class WebhookDelivery(models.Model):
    """One event for one webhook. It may arrive twice; its key says that it is the same."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event_seq = models.PositiveBigIntegerField()
    body = models.JSONField()
    state = models.CharField(
        max_length=10, choices=DeliveryState.choices, default=DeliveryState.WAITING
    )
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    status = models.PositiveIntegerField(null=True, help_text="What the last try was answered.")
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["webhook", "event_seq"], name="delivery_once_per_event")
        ]
        indexes = [
            models.Index(
                fields=["webhook", "next_try_at"],
                name="delivery_waiting",
                condition=Q(state=DeliveryState.WAITING),
            ),
            models.Index(
                fields=["ended_at"], name="delivery_ended", condition=Q(ended_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"event {self.event_seq} for {self.webhook}"

    @property
    def key(self) -> str:
        """The same for each try."""
        return f"{self.webhook_id}-{self.event_seq}"
