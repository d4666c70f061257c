"""API tokens in the admin: listed and revoked; made by `manage.py create_token`, shown once."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from scheduling.actions.revoke_tokens import revoke_tokens
from scheduling.admin.operator import operator_of
from scheduling.models import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    """Deleting a token revokes it at once."""

    list_display = (
        *("name", "token_key", "access", "scope", "office", "user"),
        *("created", "expiry", "last_used_at"),
    )
    list_filter = ("access", "scope")
    list_select_related = ("office", "user")
    readonly_fields = list_display
    fields = list_display

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A token made here could not be shown: use the command."""
        del request
        return False

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        """Revoke one, with its line in the trail."""
        revoke_tokens([obj], operator_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Revoke those that were chosen."""
        revoke_tokens(queryset.select_related("office"), operator_of(request))
