"""Who acts in the admin, as the actions and their audit trail name it."""

from django.http import HttpRequest

from scheduling.actions.audit import Operator


def operator_of(request: HttpRequest) -> Operator:
    """Return the user who is logged in."""
    return Operator(actor=request.user.get_username(), door="admin")
