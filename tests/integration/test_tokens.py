"""API tokens are shown once and kept as a digest."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from scheduling.models import ApiToken, AuditEntry


def created(*arguments: str) -> str:
    out = StringIO()
    call_command("create_token", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_just_the_token(admin_user: Any) -> None:
    text = created("grafana", "--access", "read")
    token = ApiToken.objects.get()
    assert text == text.strip() + "\n"
    assert text.startswith(token.token_key)
    assert (token.name, token.access, token.user) == ("grafana", "read", admin_user)
    assert text.strip() not in str(vars(token))


def test_a_new_token_is_in_the_trail_without_its_text(admin_user: Any) -> None:
    del admin_user
    text = created("ci", "--access", "operate", "--scope", "mock").strip()
    entry = AuditEntry.objects.get()
    assert entry.after == {"access": "operate", "scope": "mock"}
    assert text not in str(vars(entry))


def test_without_a_superuser_the_remedy_is_named(db: None) -> None:
    del db
    with pytest.raises(CommandError, match="createsuperuser"):
        created("x")


def test_an_unknown_access_is_refused(admin_user: Any) -> None:
    del admin_user
    with pytest.raises(CommandError, match="invalid choice"):
        created("x", "--access", "root")
