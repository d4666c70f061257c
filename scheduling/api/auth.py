"""Bearer tokens: looked up by their digest, judged by access, scope and expiry."""

from django.db.models import QuerySet
from django.http import HttpRequest
from knox.crypto import hash_token
from ninja.errors import HttpError
from ninja.security import HttpBearer

from scheduling.actions.audit import Operator
from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.models import ApiToken
from scheduling.models.token import Access

LEVELS = tuple(Access)


class TokenAuth(HttpBearer):
    """Admit tokens of this process's scope with at least the given access."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self.access = access

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        """Return the token's row; None (401) for an unknown or expired one, 403 for too little."""
        del request
        tokens: QuerySet[ApiToken] = ApiToken.objects.select_related("user")
        found = tokens.filter(digest=hash_token(token)).first()
        if found is None or not found.user.is_active:
            return None
        if found.expiry is not None and found.expiry <= database_now():
            return None
        if found.scope not in ("", conf.SCHEDULER_SCOPE):
            raise HttpError(403, f"this token is for the scope {found.scope!r}")
        if LEVELS.index(Access(found.access)) < LEVELS.index(self.access):
            raise HttpError(403, f"this needs a token with {self.access} access")
        return found


def operator_of(request: HttpRequest) -> Operator:
    """Return who acts, for the audit trail: the token's name and its user."""
    token: ApiToken = request.auth  # type: ignore[attr-defined] # set by the authentication
    return Operator(actor=f"{token.user.get_username()} ({token.name})", door="api")
