"""Webhooks in the admin: to look at, and to switch off and on; they are made through the API."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from scheduling.actions.webhooks import switch_webhook
from scheduling.admin.operator import operator_of
from scheduling.admin.read_only import ReadOnly
from scheduling.models import Webhook, WebhookDelivery


@admin.register(Webhook)
class WebhookAdmin(ReadOnly, admin.ModelAdmin[Webhook]):
    """Who is told of events; the secret is shown to nobody."""

    list_display = ("url", "scope", "office", "events", "enabled", "told_until", "created_at")
    list_filter = ("scope", "enabled")
    list_select_related = ("office",)
    exclude = ("secret",)
    ordering = ("id",)
    actions = ("switch_on", "switch_off")

    def has_switch_permission(self, request: HttpRequest) -> bool:
        """Who may change webhooks may switch them, and nothing else here."""
        return request.user.has_perm("scheduling.change_webhook")

    @admin.action(description="Switch on: tell from now on", permissions=["switch"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        """Tell each from now on."""
        self._switch(request, queryset, enabled=True)

    @admin.action(description="Switch off", permissions=["switch"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        """Tell none of them any more."""
        self._switch(request, queryset, enabled=False)

    def _switch(self, request: HttpRequest, webhooks: QuerySet[Webhook], *, enabled: bool) -> None:
        for webhook in webhooks:
            switch_webhook(webhook, operator_of(request), enabled=enabled)
        done = "on" if enabled else "off"
        self.message_user(request, f"{len(webhooks)} switched {done}", messages.SUCCESS)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnly, admin.ModelAdmin[WebhookDelivery]):
    """What became of telling them."""

    list_display = ("event_seq", "webhook", "state", "tries", "status", "error", "next_try_at")
    list_filter = ("state",)
    list_select_related = ("webhook",)
    ordering = ("-id",)
    show_full_result_count = False
