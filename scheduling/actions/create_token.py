"""Creates an API token and returns it, the only time that it can be seen."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from knox.crypto import create_token_string, hash_token

from scheduling.actions.audit import Operator, record
from scheduling.clock import database_now
from scheduling.errors import InvalidToken, UnknownOffice
from scheduling.models import ApiToken, Office
from scheduling.models.token import Access

SHOWN = 15  # characters of a token that are kept, to tell one from another
MOST_DAYS = 36_500


@dataclass(frozen=True, kw_only=True)
class NewToken:
    """What a token is for, what it may do and where; an office is one of its scope."""

    name: str
    access: str
    scope: str = ""  # empty: every scope
    office_id: str = ""  # empty: jobs and every office
    days: int | None = None  # None: for ever


@transaction.atomic
def create_token(new: NewToken, operator: Operator, *, user: Any) -> str:
    """Return a new token of a user, of which only a digest is kept.

    Raises InvalidToken or UnknownOffice.
    """
    if not new.name.strip():
        raise InvalidToken("name", "is empty: say what the token is for")
    if new.access not in Access.values:
        raise InvalidToken("access", f"{new.access!r} is not one of {', '.join(Access.values)}")
    if new.days is not None and not 1 <= new.days <= MOST_DAYS:
        raise InvalidToken("days", f"{new.days} is not 1 to {MOST_DAYS:,}")
    office = _office(new)
    token = create_token_string()
    ApiToken.objects.create(
        digest=hash_token(token),
        token_key=token[:SHOWN],
        user=user,
        name=new.name,
        access=new.access,
        scope=new.scope,
        office=office,
        expiry=database_now() + timedelta(days=new.days) if new.days else None,
    )
    record(operator, "create_token", new.name, after=_told(new))
    return token


def _office(new: NewToken) -> Office | None:
    if not new.office_id:
        return None
    if not new.scope:
        raise InvalidToken("scope", f"say in which the office {new.office_id!r} is")
    found = Office.objects.in_scope(new.scope).filter(office_id=new.office_id).first()
    if found is None:
        raise UnknownOffice(new.scope, new.office_id)
    return found


def _told(new: NewToken) -> dict[str, Any]:
    return {name: value for name, value in asdict(new).items() if value and name != "name"}
