"""The tables, the standing jobs, and at the very first start an account and a token."""

import secrets
from collections.abc import Callable

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import transaction

from scheduling.actions.audit import Operator
from scheduling.actions.create_token import NewToken, create_token
from scheduling.actions.sync_targets import sync_targets

ADMIN = "admin"
BY_UP = Operator(actor="up", door="command")


def prepare_database(*, show: Callable[[str], None]) -> None:
    """Bring the tables and the standing jobs up to date; `show` is given the credentials, once."""
    call_command("migrate", interactive=False, verbosity=0)
    sync_targets()
    if not get_user_model().objects.filter(is_superuser=True).exists():
        _hand_out_credentials(show)


def _hand_out_credentials(show: Callable[[str], None]) -> None:
    """Show before the commit: who is killed in between is shown new ones, and not locked out."""
    password = secrets.token_urlsafe(12)
    with transaction.atomic():
        user = get_user_model().objects.create_superuser(ADMIN, password=password)
        token = create_token(NewToken(name="first start", access="admin"), BY_UP, user=user)
        show(
            framed(
                "First start: these are shown once.",
                f"user      {ADMIN}",
                f"password  {password}",
                f"API token {token}",
                "Later: manage.py changepassword admin, manage.py create_token NAME",
            )
        )


def framed(*lines: str) -> str:
    """Return the lines in a box, so that they are seen between log lines."""
    width = max(map(len, lines))
    edge = f"+{'-' * (width + 2)}+"
    return "\n".join([edge, *(f"| {line.ljust(width)} |" for line in lines), edge])
