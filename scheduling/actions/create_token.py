"""Creates an API token and returns it, the only time that it can be seen."""

from typing import Any

from django.db import transaction
from knox.crypto import create_token_string, hash_token

from scheduling.actions.audit import Operator, record
from scheduling.errors import InvalidJob
from scheduling.models import ApiToken
from scheduling.models.token import Access

SHOWN = 15  # characters of a token that are kept, to tell one from another


@transaction.atomic
def create_token(name: str, operator: Operator, *, access: str, user: Any, scope: str = "") -> str:
    """Return a new token, of which only a digest is kept; no scope means every scope."""
    if not name.strip():
        raise InvalidJob("name", "is empty: say what the token is for")
    if access not in Access.values:
        raise InvalidJob("access", f"{access!r} is not one of {', '.join(Access.values)}")
    token = create_token_string()
    ApiToken.objects.create(
        digest=hash_token(token),
        token_key=token[:SHOWN],
        user=user,
        name=name,
        access=access,
        scope=scope,
    )
    record(operator, "create_token", name, after={"access": access, "scope": scope})
    return token
