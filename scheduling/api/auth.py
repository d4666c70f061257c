"""Bearer tokens: looked up by their digest, judged by access, scope, office and expiry."""

import time
from datetime import timedelta

from django.core.cache import cache
from django.db.models import QuerySet
from django.http import HttpRequest
from knox.crypto import hash_token
from ninja.errors import HttpError
from ninja.security import HttpBearer
from ninja.throttling import BaseThrottle

from scheduling.actions.audit import Operator
from scheduling.clock import database_now
from scheduling.conf import conf
from scheduling.models import ApiToken
from scheduling.models.token import Access

LEVELS = tuple(Access)
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
A_MINUTE = timedelta(minutes=1)  # a token in use is not written at every request


class TokenAuth(HttpBearer):
    """Admit tokens of this process's scope with at least the given access."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self.access = access

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        """Return the token's row; None (401) for an unknown or expired one, 403 for too little."""
        return self.admit(self.find(token), _office_asked_for(request))

    def find(self, token: str) -> ApiToken | None:
        """Return the row of a token; None for an unknown one."""
        tokens: QuerySet[ApiToken] = ApiToken.objects.select_related("user", "office")
        return tokens.filter(digest=hash_token(token)).first()

    def admit(self, found: ApiToken | None, office_id: str | None) -> ApiToken | None:
        """Return the row if it may; None if it is not good, HttpError (403) if that is too much.

        `office_id` is the office that is asked for, None where it is none in particular.
        """
        if found is None or not found.user.is_active:
            return None
        now = database_now()
        if found.expiry is not None and found.expiry <= now:
            return None
        if found.scope not in ("", conf.SCHEDULER_SCOPE):
            raise HttpError(403, f"this token is for the scope {found.scope!r}")
        if found.office is not None and found.office.office_id != office_id:
            raise HttpError(403, f"this token is for the office {found.office.office_id!r} only")
        if LEVELS.index(Access(found.access)) < LEVELS.index(self.access):
            raise HttpError(403, f"this needs a token with {self.access} access")
        if found.last_used_at is None or now - found.last_used_at >= A_MINUTE:
            ApiToken.objects.filter(pk=found.pk).update(last_used_at=now)
        return found


def _office_asked_for(request: HttpRequest) -> str | None:
    match = request.resolver_match
    return None if match is None else match.kwargs.get("office_id")


class PerToken(BaseThrottle):
    """So many requests of one token in each second, minute, hour or day, by each web process.

    Ninja's own keep the time of every request, and which token asks on themselves: the threads of
    a web process would mix them.
    """

    def __init__(self, rate: str) -> None:
        most, _, period = rate.partition("/")
        self.most, self.seconds = int(most), SECONDS[period]

    def allow_request(self, request: HttpRequest) -> bool:
        """Count a request of the token that the authentication has found."""
        token: ApiToken = request.auth  # type: ignore[attr-defined]
        key = f"api-requests:{token.pk}:{int(time.time() // self.seconds)}"
        cache.add(key, 0, 2 * self.seconds)  # longer than it counts, or it goes between the two
        return cache.incr(key) <= self.most

    def wait(self) -> float:
        """Return for how many seconds nothing more is taken."""
        return self.seconds - time.time() % self.seconds


READ, OPERATE, ADMIN = (TokenAuth(access) for access in LEVELS)


def operator_of(request: HttpRequest) -> Operator:
    """Return who acts, for the audit trail: the token's name and its user."""
    token: ApiToken = request.auth  # type: ignore[attr-defined] # set by the authentication
    return Operator(actor=f"{token.user.get_username()} ({token.name})", door="api")


def is_confined(request: HttpRequest) -> bool:
    """Whether the token opens one office only."""
    token: ApiToken = request.auth  # type: ignore[attr-defined]
    return token.office is not None


def is_admin(request: HttpRequest) -> bool:
    """Whether the token may everything."""
    token: ApiToken = request.auth  # type: ignore[attr-defined]
    return token.access == Access.ADMIN
