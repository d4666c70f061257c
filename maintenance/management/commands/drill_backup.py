"""`manage.py drill_backup`: prove that a backup can be restored, and how long that takes."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from maintenance.errors import MaintenanceError
from maintenance.progress import shown_on_terminal
from maintenance.records import drill_named
from retention.errors import RetentionError


class Command(BaseCommand):
    """Exits 1 when the backup does not come back as it was."""

    help = "Restore a backup to scratch, compare every byte with its manifest, and remove it again."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the backup and the place."""
        parser.add_argument("backup", metavar="ID|PATH")
        parser.add_argument(
            "--scratch",
            type=Path,
            default=settings.OPS_DATA_DIR,
            metavar="DIR",
            help="where there is room for all of it; OPS_DATA_DIR unless given",
        )
        parser.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, **options: Any) -> None:
        """Drill and show what it took."""
        try:
            with shown_on_terminal():
                done = drill_named(options["backup"], options["scratch"], now=datetime.now(UTC))
        except (MaintenanceError, RetentionError) as error:
            if options["json"]:
                self.stdout.write(
                    json.dumps({"restorable": False, "code": error.code, "error": str(error)})
                )
            raise CommandError(str(error)) from error
        header, totals = done.manifest.header, done.manifest.totals
        if options["json"]:
            told = {
                "restorable": True,
                "backup_id": header.backup_id,
                "files": totals.file_count,
                "bytes": totals.total_bytes,
                "seconds": round(done.seconds, 3),
            }
            self.stdout.write(json.dumps(told))
            return
        self.stdout.write(
            f"{header.backup_id} came back whole in {done.seconds:.1f} s: "
            f"{totals.file_count} files, {totals.total_bytes} bytes"
        )
