"""`manage.py copy_backups`: copy to elsewhere what is not there yet."""

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from maintenance.copies import copy_backups
from maintenance.errors import MaintenanceError
from maintenance.progress import shown_on_terminal


class Command(BaseCommand):
    """Exits 1 when a backup could not be copied."""

    help = "Copy backups to the place that OPS_BACKUP_COPY_URL names, and read each copy back."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the switch."""
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, **options: Any) -> None:
        """Copy, and show what went."""
        try:
            with shown_on_terminal():
                copied = copy_backups(now=datetime.now(UTC))
        except MaintenanceError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            told = {
                "copied": copied.backups,
                "sent_bytes": copied.sent_bytes,
                "failed": copied.failed,
            }
            self.stdout.write(json.dumps(told, indent=2))
        else:
            self.stdout.write(f"{len(copied.backups)} copied, {copied.sent_bytes} bytes sent")
        if copied.failed:
            raise CommandError(copied.in_words())
