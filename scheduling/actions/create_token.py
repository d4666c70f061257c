"""Creates an API token and returns it, the only time that it can be seen."""

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.errors import InvalidJob
from scheduling.models import ApiToken
from scheduling.models.token import Access


@transaction.atomic
def create_token(
    name: str, operator: Operator, *, access: str, user: AbstractBaseUser, scope: str = ""
) -> str:
    """Return a new token, of which only a digest is kept; no scope means every scope."""
    if not name.strip():
        raise InvalidJob("name", "is empty: say what the token is for")
    if access not in Access.values:
        raise InvalidJob("access", f"{access!r} is not one of {', '.join(Access.values)}")
    token = ApiToken.issue(user=user, name=name, access=access, scope=scope)
    record(operator, "create_token", name, after={"access": access, "scope": scope})
    return token
