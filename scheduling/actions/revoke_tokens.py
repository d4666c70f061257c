"""Revokes API tokens: from then on nobody gets in with them."""

from collections.abc import Iterable

from django.db import transaction

from scheduling.actions.audit import Operator, record
from scheduling.models import ApiToken


@transaction.atomic
def revoke_tokens(tokens: Iterable[ApiToken], operator: Operator) -> None:
    """Delete tokens; the trail keeps what each was good for."""
    for token in tokens:
        held = {
            "access": token.access,
            "scope": token.scope,
            "office": token.office.office_id if token.office else "",
            "token_key": token.token_key,
        }
        token.delete()
        record(
            operator,
            "revoke_token",
            token.name,
            before={name: value for name, value in held.items() if value},
        )
