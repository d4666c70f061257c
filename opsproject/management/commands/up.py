"""`manage.py up`: run the whole platform on this machine."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from opsproject.launch.errors import LaunchError
from opsproject.launch.platform import run_platform


class Command(BaseCommand):
    """Start web, worker, beat and Flower, and a broker and a database where none are given."""

    help = "Run the whole platform: web, worker, beat, Flower, and what they need. Ctrl-C stops it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add --smoke."""
        parser.add_argument(
            "--smoke",
            action="store_true",
            help="Stop after one good run of every standing job (90 s at most); print the ledger.",
        )

    def handle(self, *_args: Any, smoke: bool, **_options: Any) -> None:
        """Run until stopped; exit 1 with one line when that cannot be done."""
        try:
            run_platform(smoke_only=smoke, show=self._show)
        except LaunchError as error:
            self.stderr.write(f"error: {error}")
            sys.exit(1)

    def _show(self, text: str) -> None:
        """Print at once: the lines of the processes go by another way, and must not overtake."""
        self.stdout.write(text)
        self.stdout.flush()
