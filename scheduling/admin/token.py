"""API tokens in the admin: listed and revoked; made by `manage.py create_token`, shown once."""

from django.contrib import admin
from django.http import HttpRequest

from scheduling.models import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    """Deleting a token revokes it at once."""

    list_display = ("name", "token_key", "access", "scope", "user", "created", "expiry")
    list_filter = ("access", "scope")
    readonly_fields = ("name", "token_key", "access", "scope", "user", "created", "expiry")
    fields = readonly_fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A token made here could not be shown: use the command."""
        del request
        return False
