"""Creates the platform's tables."""

from django.core.management import call_command


def run() -> None:
    """Migrate the rig's database."""
    call_command("migrate", verbosity=0)
