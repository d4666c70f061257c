"""`manage.py create_token`: prints a new API token, the only time that it can be seen."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from scheduling.actions.audit import Operator
from scheduling.actions.create_token import NewToken, create_token
from scheduling.errors import SchedulingError
from scheduling.models.token import Access


class Command(BaseCommand):
    """Create a token for the REST API and print just the token."""

    help = "Create an API token and print it; it is stored hashed and cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Say whose token, and what it may do."""
        parser.add_argument("name", help="what the token is for")
        parser.add_argument(
            "--access", choices=Access.values, default=Access.READ, help="default: read"
        )
        parser.add_argument("--scope", default="", help="only this scope; default: every scope")
        parser.add_argument("--office", default="", help="only this office, of that scope")
        parser.add_argument("--days", type=int, help="how long it is valid; default: for ever")
        parser.add_argument("--user", help="whose token; default: the first superuser")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find the user, create, print."""
        del args
        try:
            token = create_token(
                NewToken(
                    name=options["name"],
                    access=options["access"],
                    scope=options["scope"],
                    office_id=options["office"],
                    days=options["days"],
                ),
                Operator(actor="command line", door="command"),
                user=_user(options["user"]),
            )
        except SchedulingError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(token)


def _user(name: str | None) -> Any:
    users = get_user_model().objects.filter(is_active=True)
    found = (
        users.filter(username=name).first()
        if name
        else users.filter(is_superuser=True).order_by("pk").first()
    )
    if found is None:
        who = f"user {name!r}" if name else "superuser"
        raise CommandError(f"there is no {who}: make one with manage.py createsuperuser")
    return found
