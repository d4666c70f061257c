"""API tokens in the admin: listed and revoked; made by `manage.py create_token`, shown once."""

from django.contrib import admin
from django.http import HttpRequest

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
