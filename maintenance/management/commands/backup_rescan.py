"""`manage.py backup_rescan`: hold a backup root against the database, and add what is missing."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from maintenance.errors import MaintenanceError
from maintenance.locks import backup_lock
from maintenance.rescan import Rescan, rescan


class Command(BaseCommand):
    """Exits 1 when a backup is damaged, missing or rewritten."""

    help = (
        "Look at every backup in a backup root: give those that the database does not know a row, "
        "once they verify, and name what is damaged, missing or rewritten."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the place and the switch."""
        parser.add_argument("--backup-root", default=settings.BACKUP_ROOT, type=Path)
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, **options: Any) -> None:
        """Look, and show what was found."""
        root = options["backup_root"].resolve()
        if not root.is_dir():
            raise CommandError(f"{str(root)!r} is no directory: give --backup-root")
        try:
            with backup_lock(root):
                found = rescan(root, now=datetime.now(UTC))
        except MaintenanceError as error:
            raise CommandError(str(error)) from error
        told = json.dumps(asdict(found), indent=2) if options["json"] else "\n".join(_lines(found))
        self.stdout.write(told)
        if not found.is_well:
            raise CommandError("not every backup is there as it was written")


def _lines(found: Rescan) -> Iterator[str]:
    yield f"{len(found.known)} backups known, {len(found.added)} added"
    yield from (f"  added {name}" for name in found.added)
    yield from (f"  damaged {name}: {why}" for name, why in found.damaged.items())
    yield from (f"  missing {name}" for name in found.missing)
    yield from (f"  rewritten before {name}: {why}" for name, why in found.broken_chain.items())
    yield from (f"  gone before {name}: {why}" for name, why in found.gone.items())
