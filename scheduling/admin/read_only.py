"""What history tables share in the admin: they can be looked at, and nothing else."""

from typing import Any

from django.http import HttpRequest


class ReadOnly:
    """Mix into a ModelAdmin or an inline."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody adds history."""
        del request, obj
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody rewrites it."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes it; policies prune it."""
        del request, obj
        return False
